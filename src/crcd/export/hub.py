"""Exports on the Hugging Face hub."""

from pathlib import Path
from types import ModuleType

from crcd.errors import CrcdError


def check_hub(repo: str) -> None:
    """Whether something could be uploaded, without asking the hub.

    Raises:
        CrcdError: the package is missing, the name can't be one, or there is no token.
    """
    hub = _huggingface_hub()
    try:
        hub.utils.validate_repo_id(repo)
    except hub.errors.HFValidationError as error:
        raise CrcdError(f"--push-to-hub is {repo}: give USER/NAME ({' '.join(str(error).split())})") from error
    if hub.get_token() is None:
        raise CrcdError(
            "--push-to-hub needs a token of the Hugging Face hub: log in with `hf auth login`, or set HF_TOKEN"
        )


def push(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a folder into a model repository, made where it is absent.

    Args:
        folder: what to upload.
        repo: USER/NAME.
        private: whether a new repository is; one that exists stays as it is.

    Returns:
        Its address.

    Raises:
        CrcdError: the hub refuses it or can't be reached.
    """
    hub = _huggingface_hub()
    api = hub.HfApi()
    try:
        address = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Export of {folder.name} by crcd")
    except Exception as error:  # the service and its client fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CrcdError(
            f"--push-to-hub {repo} failed ({reason}): the export is in {folder}; if it was refused, `hf auth login` "
            f"again; then `hf upload {repo} {folder}`"
        ) from error
    return str(address)


def _huggingface_hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise CrcdError('--push-to-hub needs the package huggingface_hub: pip install "crcd[hub]"') from error
    return huggingface_hub
