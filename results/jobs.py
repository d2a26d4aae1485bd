"""The small jobs of README.md, scored on training images that were held out: their setups, as the ledger names them."""

TRAINING = "lr=0.05 warmup_epochs=1.0 weight_decay=0.0005 image_size=16 holdout=0.2"
TEACHER = "crop=padded crop_padding=2 teacher=wrn_16_2"
JOBS = {
    "digits-held-out": "digits holdout=0.25",
    "short": f"folder epochs=20 {TRAINING} {TEACHER} student=resnet8",
    "quarter": f"folder epochs=80 {TRAINING} {TEACHER} student=resnet8 student_images=2000",
    "narrow": f"folder epochs=40 {TRAINING} {TEACHER} student=small_cifar:narrow_resnet8",
    "long": f"folder epochs=60 {TRAINING} {TEACHER} student=resnet8",
}
