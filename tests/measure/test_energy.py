"""Energy from the counters of a GPU's card and of the processor's packages, and why there is none."""

from pathlib import Path

import pytest

from harness.errors import Unavailable
from harness.measure import energy
from harness.measure.energy import CardCounter, Meter, PackageCounters
from tests.support.nvidia import Card, Instance, NvidiaMachine

UUID = "GPU-aa11-1"
RANGE = 999_999  # µJ


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two processors with a core each, as Linux shows them: parts beside packages, one a second time."""
    folder = tmp_path / "powercap"
    monkeypatch.setattr(energy, "POWERCAP", folder)
    monkeypatch.setattr(energy, "CORES", tmp_path / "cpu")
    monkeypatch.setattr(energy, "cores", lambda: [0, 1])
    for core in (0, 1):
        topology = tmp_path / "cpu" / f"cpu{core}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{core}\n")
    for zone, name in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        (folder / zone).mkdir(parents=True)
        (folder / zone / "name").write_text(f"{name}\n")
        (folder / zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (folder / zone / "energy_uj").write_text("900000\n")
    (folder / "intel-rapl").mkdir()
    return folder


def count(powercap: Path, zone: str, microjoules: int) -> None:
    (powercap / zone / "energy_uj").write_text(f"{microjoules}\n")


def test_the_packages_add_up_and_their_parts_do_not(powercap: Path) -> None:
    meter = Meter("cpu")
    meter.begin()
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:2", "intel-rapl-mmio:0"):
        count(powercap, zone, 950_000)
    assert meter.end() == pytest.approx(0.1)


def test_a_counter_that_wraps_around(powercap: Path) -> None:
    """Once between two windows, as often as there are windows."""
    meter = Meter("cpu")
    meter.begin()
    for microjoules in (100_000, 50_000, 900_000):  # on by 0.2, 0.95 and 0.85 J
        count(powercap, "intel-rapl:1", microjoules)
        meter.advance()
    assert meter.end() == pytest.approx(2.0)
    assert meter.columns([2.0, 1.0], sequences=6000, seconds=1.0) == {
        "energy_joules": 3.0,
        "joules_per_1000_sequences": 0.5,
    }


def test_a_package_without_the_run_s_cores_does_not_count(
    powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "cores", lambda: [1])
    meter = Meter("cpu")
    assert meter.details == {
        "meter": "RAPL",
        "of": "the processor's packages with the run's cores, and whatever other processes do on them",
        "zones": ["package-1"],
        "reason": "no training was measured",
    }
    meter.begin()
    count(powercap, "intel-rapl:0", 990_000)
    count(powercap, "intel-rapl:1", 950_000)
    assert meter.end() == pytest.approx(0.05)


def test_the_dies_of_a_package_add_up(powercap: Path) -> None:
    for zone, name in (("intel-rapl:0", "package-0-die-0"), ("intel-rapl:1", "package-0-die-1")):
        (powercap / zone / "name").write_text(name)
    assert Meter("cpu").details["zones"] == ["package-0-die-0", "package-0-die-1"]


def test_a_processor_without_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    meter = Meter("cpu")
    meter.begin()
    meter.advance()
    columns = meter.columns([meter.end()], sequences=100, seconds=5.0)
    assert columns == {"energy_joules": None, "joules_per_1000_sequences": None}
    assert meter.details == {"reason": f"{tmp_path} has no package of a processor with the run's cores"}


def test_counters_that_this_user_may_not_read(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.read_text

    def denied(path: Path, *arguments: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return plain(path, *arguments)

    monkeypatch.setattr(Path, "read_text", denied)
    assert Meter("cpu").details == {"reason": f"{powercap}/intel-rapl:0/energy_uj: Permission denied"}


def test_a_counter_that_is_no_number(powercap: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").write_text("-\n")
    assert Meter("cpu").details == {"reason": f"{powercap}/intel-rapl:1/energy_uj: '-' is not a number"}


def test_a_counter_that_is_lost_on_the_way(powercap: Path) -> None:
    meter = Meter("cpu")
    meter.begin()
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    meter.advance()
    assert meter.end() is None
    assert meter.details == {"reason": f"{powercap}/intel-rapl:0/energy_uj: No such file or directory"}


@pytest.mark.parametrize(
    ("spans", "seconds", "reason"),
    [
        ([0.0, 0.0], 5.0, "the counter stood still"),  # as in some virtual machines
        ([None, 3.0], 5.0, "an earlier part of the run was not measured"),
        ([3.0], 0.04, "the counter's steps are too coarse for 0.04 s of training"),
    ],
)
def test_figures_that_are_no_measurement(
    powercap: Path, spans: list[float | None], seconds: float, reason: str
) -> None:
    meter = Meter("cpu")
    assert set(meter.columns(spans, sequences=100, seconds=seconds).values()) == {None}
    assert meter.details["reason"] == reason
    assert meter.columns([1.0], sequences=100, seconds=5.0)["energy_joules"] == 1.0
    assert "reason" not in meter.details


@pytest.fixture
def card(nvidia: NvidiaMachine) -> Card:
    """The GPU of this process."""
    nvidia.install(3)
    card = Card(3, UUID, millijoules=5_000_000)
    nvidia.nvml(card)
    return card


def test_the_counter_of_a_card(card: Card) -> None:
    meter = Meter("cuda:0")
    meter.begin()
    card.millijoules = 5_300_000
    meter.advance()
    assert meter.end() == pytest.approx(300.0)
    assert meter.columns([300.0], sequences=2_000_000, seconds=0.9)["energy_joules"] is None
    assert meter.columns([300.0], sequences=2_000_000, seconds=1.1) == {
        "energy_joules": 300.0,
        "joules_per_1000_sequences": 0.15,
    }
    assert meter.details == {"meter": "NVML", "of": "the whole card, and nothing else of the machine"}


def test_a_card_without_a_counter(card: Card) -> None:
    card.missing = ["nvmlDeviceGetTotalEnergyConsumption"]
    reason = "NVML: nvmlDeviceGetTotalEnergyConsumption: Not Supported"
    assert Meter("cuda:0").details == {"reason": reason}


def test_mig_instances_share_a_counter(card: Card) -> None:
    card.instances = [Instance("MIG-1a", "part")]
    with pytest.raises(Unavailable, match="that of all its MIG instances together"):
        CardCounter("MIG-1a")


def test_without_nvml_the_reason_is_what_to_install(nvidia: NvidiaMachine) -> None:
    nvidia.install(3, told={"0000:10:00.0": (3, UUID)})
    reason = Meter("cuda:0").details["reason"]
    assert reason.startswith("NVML: nvidia-ml-py is not installed; install it: ")


def test_a_device_of_another_maker(nvidia: NvidiaMachine) -> None:
    assert Meter("mps").details == {"reason": "mps has no counter of energy that is known here"}


def test_packages_are_needed(powercap: Path) -> None:
    (powercap / "intel-rapl:0" / "name").write_text("psys\n")
    (powercap / "intel-rapl:1" / "name").write_text("psys\n")
    with pytest.raises(Unavailable, match="has no package of a processor"):
        PackageCounters()
