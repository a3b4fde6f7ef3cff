from pathlib import Path

import pytest

from tavlo_pl.data.audit.files import read_listing
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.leakage import find_overlap, refuse_overlap
from tavlo_pl.errors import ConfigError
from tests.helpers.cli import tavlo
from tests.helpers.run import avatar, tiny_config
from tests.helpers.shared import shared_file
from tests.helpers.trees import instance, write_avatar, write_vggsound

A, B = "aaaaaaaaaaa", "b-_b1bbbbb_"


def test_leakage_compares_id_and_start() -> None:
    train = [f"{A}_00020", f"{B}_000007.mp4", f"{B}_000007"]
    found = find_overlap(train, [f"{A}_000020", f"{A}_000021", f"{B}_7", f"{B}_7", "ccccccccccc_000020"])
    assert found.tested == 4
    assert found.exact == (f"{A}_000020", f"{B}_7")
    assert found.youtube == (f"{A}_000020", f"{A}_000021", f"{B}_7")
    assert found.start_unknown == ()


def test_leakage_id_without_start_is_the_same_video() -> None:
    for train, test in (([A, B], [f"{A}_000020"]), ([f"{A}_000020"], [A, B])):
        found = find_overlap(train, test)
        assert (found.exact, len(found.youtube), len(found.start_unknown)) == ((), 1, 1)
    assert find_overlap([A], [A, B]).exact == (A,)


def test_names_without_a_youtube_id_are_compared_whole() -> None:
    found = find_overlap(["clip_0001", "clip_0002"], ["clip_1", "clip_0003", "dog"])
    assert found.youtube == found.exact == ("clip_1",)


@pytest.mark.parametrize(
    ("train", "test", "tested", "exact", "youtube"),
    [
        ("vggss_144k.txt", "vggss.json", 5158, 3709, 3784),
        ("vggss_10k.txt", "vggss.json", 5158, 238, 252),
        ("vggss_144k.txt", "vggsound_test.csv", 15446, 11163, 11388),
        ("vggss_10k.txt", "vggsound_test.csv", 15446, 787, 836),
        ("vggsound_test.csv", "vggss.json", 5158, 5158, 5158),
    ],
)
def test_the_published_lists_leak_as_is_known(train: str, test: str, tested: int, exact: int, youtube: int) -> None:
    lists = read_listing(shared_file("data", train), "train"), read_listing(shared_file("data", test), "test")
    found = find_overlap(lists[0].names, lists[1].names)
    assert (found.tested, len(found.exact), len(found.youtube)) == (tested, exact, youtube)


def test_a_leak_is_refused_in_one_sentence_unless_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    train = [f"{A}_{start}" for start in (1, 2)]
    refuse_overlap(train, [f"{B}_1"], "test", allowed=False)
    test = [*train, f"{A}_3", f"{A}_4", f"{B}_1"]
    with pytest.raises(ConfigError, match=rf"4 of the 5 clips of data\.test, 2 .*\({A}_1, {A}_2, {A}_3, \.\.\.\)"):
        refuse_overlap(train, test, "test", allowed=False)
    refuse_overlap(train, test, "test", allowed=True)
    assert "allowed by data.allow_leak" in caplog.text


def data_module(folder: Path, held_out: str, **options: object) -> ClipDataModule:
    """Trains on one clip of video A; validated and tested on the same clip or on one of B, without any video."""
    write_vggsound(folder / "train", [f"{A}_000020"], empty=True)
    held = {stage: f"{A}_00020" if stage == held_out else f"{B}_00020" for stage in ("val", "test")}
    for stage, clip in held.items():
        write_avatar(folder / stage, {clip: {"00003": [instance()]}}, empty=True)
    sources = {stage: AVATAR(str(folder / stage)) for stage in held}
    return ClipDataModule(train=VGGSound(str(folder / "train")), num_workers=0, **{**sources, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_training_on_what_is_validated_or_tested_is_refused(tmp_path: Path, held_out: str) -> None:
    with pytest.raises(ConfigError, match=rf"1 of the 1 clips of data\.{held_out}, 1 of them exactly.*allow_leak true"):
        data_module(tmp_path, held_out).setup("fit")
    data_module(tmp_path, held_out, allow_leak=True).setup("fit")
    data_module(tmp_path, held_out).setup("test")


def test_a_test_set_without_its_videos_is_still_checked(tmp_path: Path) -> None:
    data = data_module(tmp_path, "test")
    for video in (tmp_path / "test" / "video").iterdir():
        video.unlink()
    (tmp_path / "test" / "video").rmdir()
    with pytest.raises(ConfigError, match=r"clips of data\.test"):
        data.setup("fit")


def test_leakage_without_a_test_set_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data_module(tmp_path, "none", test=AVATAR(str(tmp_path / "nowhere"))).setup("fit")
    assert "clips of data.test could not be checked" in caplog.text
    assert "nowhere" in caplog.text
    caplog.clear()
    data_module(tmp_path, "none", val=None, test=None).setup("fit")
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore")
def test_the_command_line_refuses_a_leak_and_obeys(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path, max_epochs=1)
    words = ["fit", "-c", config, "--data.test", f"{avatar(world / 'train')}".replace("'", '"').replace("None", "null")]
    outcome = tavlo(*words, "--out", tmp_path / "refused")
    assert outcome.code == 2
    assert "same videos as 8 of the 8 clips of data.test" in outcome.err
    assert "--data.allow_leak true" in outcome.err
    assert tavlo(*words, "--out", tmp_path / "allowed", "--data.allow_leak", "true").code == 0
