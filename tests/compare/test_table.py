import csv
import io
import math
from dataclasses import replace

import pytest
from scipy import stats

from crcd.compare.formats import csv_rows, latex, markdown
from crcd.compare.published import published
from crcd.compare.statistics import Difference, paired, paired_over_seeds, spread, spread_over_seeds
from crcd.compare.table import columns, tables
from crcd.methods.kd import KDConfig

KD, CRCD = [90.0, 92.0, 91.0], [92.0, 92.5, 93.0]


@pytest.fixture
def entries(entry):
    return [
        made
        for seed, (kd, crcd) in enumerate(zip(KD, CRCD, strict=True))
        for made in (entry("kd", seed, kd), entry("crcd+kd", seed, crcd))
    ]


def by_kd(entries):
    """Columns of entries, gains paired with kd."""
    return columns(entries, {entry.setup: "kd" for entry in entries})


def test_paired_interval_is_that_of_students_t():
    gain = paired(dict(enumerate(CRCD)), dict(enumerate(KD)))
    differences = [a - b for a, b in zip(CRCD, KD, strict=True)]
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))
    assert gain.mean == pytest.approx(1.5)
    assert str(gain) == "+1.50 ± 0.87"


def test_an_interval_that_just_holds_zero_says_so():
    assert Difference(mean=1.0, std=0.8, n=5, low=-0.004, high=2.0).interval == "-0.00 to +2.00"


def test_only_what_both_have_is_paired():
    gain = paired({0: 3.0, 1: 5.0, 7: 100.0}, {0: 1.0, 1: 2.0, 8: 0.0})
    assert (gain.mean, gain.n) == (2.5, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None
    alone = paired({0: 1.0}, {0: 2.0})
    assert str(alone) == "-1.00"
    assert str(paired({0: 1.0}, {0: 1.001})) == "+0.00"
    assert math.isnan(alone.low)
    assert alone.interval == ""
    assert str(spread([5.0])) == "5.00"


def test_a_seed_counts_once_however_many_teachers_it_had():
    kd = {(0, "ab"): 90.0, (0, "cd"): 92.0, (1, "ab"): 94.0, (2, "ab"): 80.0}
    crcd = {(0, "ab"): 91.0, (0, "cd"): 95.0, (1, "ab"): 95.0, (2, "cd"): 99.0}
    assert spread_over_seeds(kd) == spread([91.0, 94.0, 80.0])
    assert paired_over_seeds(crcd, kd) == paired({0: 2.0, 1: 1.0}, {0: 0.0, 1: 0.0})
    assert paired_over_seeds({(0, "ab"): 90.0}, {(0, "cd"): 90.0}) is None


def test_seeds_under_two_teachers_are_not_more_seeds(entry):
    entries = [
        replace(made, teacher={**made.teacher, "weights": weights})
        for weights, more in (("ab", 0.0), ("cd", 0.5))
        for seed, (kd, crcd) in enumerate(zip(KD, CRCD, strict=True))
        for made in (entry("kd", seed, kd), entry("crcd+kd", seed, crcd + more))
    ]
    (table,) = tables(by_kd(entries))
    assert table.rows[2][1:5] == ["3", "92.75 ± 0.50", "+1.75 ± 0.87", "-0.40 to +3.90"]
    assert "differences are paired by seed and teacher; a seed counts once" in table.notes[0]
    _, crcd = csv.DictReader(io.StringIO(csv_rows(by_kd(entries))))
    assert (crcd["seeds"], float(crcd["top1"]), float(crcd["difference"])) == ("3", 92.75, 1.75)
    assert float(crcd["difference_std"]) == pytest.approx(stats.tstd([2.0, 0.5, 2.0]))
    setups = [*entries, entry("kd", 0, 90.0, setup="other", epochs=3)]
    assert tables(by_kd(setups))[0].header[1] == "digits (n = 3)"


def test_one_setup_is_one_table(entries):
    (table,) = tables(by_kd(entries))
    assert table.title == "digits"
    teacher, kd, crcd = table.rows
    assert teacher[:3] == ["teacher (resnet20)", "", "99.00"]
    assert kd == ["kd (resnet8)", "3", "91.00 ± 1.00", "", "", "0.910"]
    assert crcd[:4] == ["crcd+kd (resnet8)", "3", "92.50 ± 0.50", "+1.50 ± 0.87"]
    assert crcd[4] == "-0.65 to +3.65"
    assert "360 test images of digits, last epoch; measured at ccccccc on cpu" in table.notes[0]


def test_other_teachers_are_not_paired(entry):
    other = entry("crcd+kd", 0, 95.0)
    other = replace(other, teacher={**other.teacher, "weights": "cd", "top1": 98.0})
    (table,) = tables(by_kd([entry("kd", 0, 90.0), other]))
    assert table.rows[0][:3] == ["teacher (resnet20, 2 of them)", "", "98.50 ± 0.71"]
    assert table.rows[2][3] == "no pairs"
    (table,) = tables(by_kd([entry("kd", 0, 90.0), other, entry("crcd+kd", 1, 90.0), entry("kd", 1, 90.0)]))
    assert table.rows[2][3:5] == ["+0.00 (1 of 2 runs paired)", ""]


def test_several_setups_stand_side_by_side_beside_what_others_report(entry):
    pairs = {"pair a": "resnet56/resnet20", "pair b": "resnet32x4/resnet8x4"}
    entries = [
        entry(method, 0, top1, setup=setup, pair=pair, data="cifar100")
        for setup, pair in pairs.items()
        for method, top1 in (("kd", 70.0), ("crcd+kd", 71.0))
    ]
    accuracy, gains, first, second = tables(by_kd(entries))
    assert accuracy.header == ["top-1 %", "pair a (n = 1)", "pair b (n = 1)"]
    rows = {row[0]: row[1:] for row in accuracy.rows}
    assert rows["crcd+kd"] == ["71.00", "71.00"]
    assert rows["CRD [Tian, Krishnan and Isola, ICLR 2020 (CRD), their benchmark]"] == ["71.16", "75.51"]
    assert gains.rows == [["crcd+kd", "+1.00", "+1.00"]]
    assert (first.title, second.title) == ("pair a", "pair b")
    assert any("what others report" in note for note in accuracy.notes)


def test_a_setup_of_one_name_and_other_settings_is_another_column(entry):
    found = by_kd([entry("kd", 0, 90.0), entry("kd", 0, 80.0, epochs=3), entry("ce", 0, 70.0)])
    assert [column.label for column in found] == ["digits", "digits (2)"]
    assert list(found[0].entries) == ["kd", "ce"]


def test_a_method_of_one_name_and_other_settings_is_another_row(entry):
    entries = [
        made
        for seed in range(2)
        for made in (entry("kd", seed, 90.0), entry("kd", seed, 80.0, kd=KDConfig(temperature=1.0)))
    ]
    (table,) = tables(by_kd(entries))
    assert [row[:4] for row in table.rows[1:]] == [
        ["kd (resnet8)", "2", "90.00 ± 0.00", ""],
        ["kd (2) (resnet8)", "2", "80.00 ± 0.00", "-10.00 ± 0.00"],
    ]


def test_a_method_of_ones_own_code_stays_beside_its_baseline(entry):
    kd = entry("kd", 0, 90.0)
    own = replace(kd, method="not_here:Own", result={**kd.result, "top1": 91.0})
    own = replace(own, settings={**kd.settings, "not_here:Own": {"weight": 1.0}})
    (table,) = tables(by_kd([kd, own]))
    assert table.rows[2][:4] == ["not_here:Own (resnet8)", "1", "91.00", "+1.00"]


def test_a_baseline_may_be_called_otherwise_in_each_setup(entry):
    entries = [
        *(entry("kd@kd.weight=1.0", 0, 90.0), entry("crcd+kd", 0, 91.0)),
        *(entry("kd", 0, 80.0, setup="other"), entry("crcd+kd", 0, 83.0, setup="other")),
    ]
    found = columns(entries, {"digits": "kd@kd.weight=1.0", "other": "kd"})
    _, gains, first, second = tables(found)
    assert gains.title == "Paired difference to kd@kd.weight=1.0 or kd, points (95 % interval of its mean)"
    assert gains.rows == [["crcd+kd", "+1.00", "+3.00"]]
    assert (first.header[3], second.header[3]) == ("less kd@kd.weight=1.0", "less kd")
    assert [row["difference"] for row in csv.DictReader(io.StringIO(csv_rows(found)))] == ["", "1.0", "", "3.0"]


def test_published_rows_cover_the_pairs():
    rows = {row.method: row for row in published("cifar100")}
    assert len(rows["KD"].top1) == len(rows["CRD"].top1) == len(rows["WTTM+ITRD"].top1) == 13
    assert rows["CRD"].top1["vgg13/mobilenetv2"] == 69.73
    assert {row.method for row in published("imagenet")} >= {"teacher", "student alone", "CRCD"}
    assert published("digits") == ()
    assert all(row.source for data in ("cifar100", "imagenet") for row in published(data))


def test_written_forms(entries):
    drawn = tables(by_kd(entries))
    assert "| crcd+kd (resnet8) | 3 | 92.50 ± 0.50 | +1.50 ± 0.87 | -0.65 to +3.65 | 0.925 |" in markdown(drawn)
    tex = latex(drawn)
    assert r"crcd+kd (resnet8) & 3 & 92.50 $\pm$ 0.50 & +1.50 $\pm$ 0.87 & -0.65 to +3.65 & 0.925 \\" in tex
    assert r"top-1 \%" in tex
    kd, crcd = csv.DictReader(io.StringIO(csv_rows(by_kd(entries))))
    assert (float(crcd["top1"]), float(crcd["difference"]), crcd["seeds"]) == (92.5, 1.5, "3")
    assert (kd["difference"], kd["source"]) == ("", "measured")
