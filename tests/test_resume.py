"""The batch run, with an analysis that is only a name."""

import json
from pathlib import Path

import pytest

from isletnet import resume
from isletnet.errors import DamagedImageError

SETTINGS = {"network": "islet-unet", "um_per_px": 2.0, "sizes": (1, 2)}


class Recorder:
    """Stands for analysis and export: keeps what it was asked, and writes one file."""

    def __init__(self) -> None:
        self.analysed: list[str] = []

    def analyse(self, content: bytes, job: resume.Job) -> str:
        self.analysed.append(job.path.name)
        if content == b"damaged":
            raise DamagedImageError("a whole image was expected, but the file is cut short", subject=job.path.name)
        if content == b"fault":
            raise ZeroDivisionError("by nothing")
        if content == b"interrupt":
            raise KeyboardInterrupt
        return content.decode()

    def write(self, result: str, job: resume.Job) -> None:
        (job.folder / "result.txt").write_text(result)

    def run(self, jobs: tuple[resume.Job, ...], **changes: object) -> list[resume.Outcome]:
        options = {"settings": SETTINGS, "overwrite": False, **changes}
        return list(resume.run(jobs, analyse=self.analyse, write=self.write, **options))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.png", "a.TIF", "c.jpg"):
        (folder / name).write_text(f"picture {name}")
    for name in ("notes.txt", ".hidden.png", "._a.TIF"):
        (folder / name).write_text("no picture")
    (folder / "folder.png").mkdir()
    return folder


def folders(jobs: tuple[resume.Job, ...]) -> list[str]:
    return [job.folder.name for job in jobs]


def test_a_folder_gives_its_images_by_name_and_nothing_else(images: Path):
    assert [path.name for path in resume.find_images([images])] == ["a.TIF", "b.png", "c.jpg"]


def test_files_keep_their_order_and_come_once(images: Path):
    found = resume.find_images([images / "c.jpg", images, images / "c.jpg"])
    assert [path.name for path in found] == ["c.jpg", "a.TIF", "b.png"]


def test_a_file_named_by_hand_is_taken_whatever_its_suffix(images: Path):
    assert resume.find_images([images / "notes.txt"]) == (images / "notes.txt",)


def test_equal_stems_get_their_own_folders(tmp_path: Path):
    paths = [tmp_path / name for name in ("x.png", "x.tif", "X.jpg", "x-2.png", "y.png")]
    for path in paths:
        path.write_text(path.name)
    assert folders(resume.plan(paths, tmp_path / "out")) == ["x", "x-2", "X-3", "x-2-2", "y"]


def test_another_file_of_the_same_name_never_overwrites_a_result(tmp_path: Path):
    for donor in ("donor1", "donor2"):
        (tmp_path / donor).mkdir()
        (tmp_path / donor / "x.png").write_text(donor)
    first, second = tmp_path / "donor1" / "x.png", tmp_path / "donor2" / "x.png"
    out = tmp_path / "out"
    Recorder().run(resume.plan([first], out))
    jobs = resume.plan([second], out)
    assert folders(jobs) == ["x-2"]
    Recorder().run(jobs)
    assert (out / "x" / "result.txt").read_text() == "donor1"
    assert (out / "x-2" / "result.txt").read_text() == "donor2"
    assert folders(resume.plan([second, first], out)) == ["x-2", "x"]


def test_a_moved_file_finds_its_result_again(images: Path, tmp_path: Path):
    out = tmp_path / "out"
    Recorder().run(resume.plan([images / "b.png"], out))
    moved = (images / "b.png").rename(tmp_path / "b.png")
    assert [outcome.status for outcome in Recorder().run(resume.plan([moved], out))] == ["skipped"]


def test_a_rerun_skips_what_is_done_in_the_same_way(images: Path, tmp_path: Path):
    jobs = resume.plan(resume.find_images([images]), tmp_path / "out")
    assert {outcome.status for outcome in Recorder().run(jobs)} == {"done"}
    again = Recorder()
    assert {outcome.status for outcome in again.run(jobs)} == {"skipped"}
    assert again.analysed == []


@pytest.mark.parametrize(
    "changes", [{"settings": {**SETTINGS, "um_per_px": 2.5}}, {"overwrite": True}], ids=["other settings", "overwrite"]
)
def test_a_rerun_in_another_way_does_all_again(images: Path, tmp_path: Path, changes: dict[str, object]):
    jobs = resume.plan(resume.find_images([images]), tmp_path / "out")
    Recorder().run(jobs)
    assert {outcome.status for outcome in Recorder().run(jobs, **changes)} == {"done"}


def test_a_changed_file_alone_is_done_again(images: Path, tmp_path: Path):
    jobs = resume.plan(resume.find_images([images]), tmp_path / "out")
    Recorder().run(jobs)
    (images / "b.png").write_text("another picture")
    assert [outcome.status for outcome in Recorder().run(jobs)] == ["skipped", "done", "skipped"]
    assert (tmp_path / "out" / "b" / "result.txt").read_text() == "another picture"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"damaged", "image_damaged", "a whole image was expected, but the file is cut short"),
        (b"fault", "unexpected", "ZeroDivisionError: by nothing"),
    ],
)
def test_a_bad_file_is_told_and_the_rest_is_done(images: Path, tmp_path: Path, content: bytes, code: str, message: str):
    (images / "b.png").write_bytes(content)
    outcomes = Recorder().run(resume.plan(resume.find_images([images]), tmp_path / "out"))
    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]
    assert (outcomes[1].code, outcomes[1].message) == (code, message)
    assert not (tmp_path / "out" / "b").exists()


def test_a_file_that_cannot_be_read_fails_alone(images: Path, tmp_path: Path):
    jobs = resume.plan([images / "gone.png", images / "b.png"], tmp_path / "out")
    outcomes = Recorder().run(jobs)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert (outcomes[0].code, outcomes[0].message) == ("file_unusable", "No such file or directory")


def test_a_result_that_cannot_be_written_is_told_with_its_place(images: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b").write_text("a file where the folder goes")
    outcomes = Recorder().run(resume.plan([images / "b.png"], out))
    assert (outcomes[0].code, outcomes[0].message) == ("file_unusable", f"File exists: {out / 'b'}")


def test_an_interrupt_leaves_whole_results_and_the_rerun_goes_on(images: Path, tmp_path: Path):
    (images / "b.png").write_bytes(b"interrupt")
    jobs = resume.plan(resume.find_images([images]), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        Recorder().run(jobs)
    assert [folder.name for folder in resume.result_folders(tmp_path / "out")] == ["a"]
    (images / "b.png").write_bytes(b"picture")
    assert [outcome.status for outcome in Recorder().run(jobs)] == ["skipped", "done", "done"]


def test_a_result_cut_off_while_it_is_written_is_no_result(images: Path, tmp_path: Path):
    jobs = resume.plan([images / "b.png"], tmp_path / "out")
    Recorder().run(jobs)

    class Cut(Recorder):
        def write(self, result: str, job: resume.Job) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cut().run(jobs, overwrite=True)
    assert resume.result_folders(tmp_path / "out") == ()
    assert [outcome.status for outcome in Recorder().run(jobs)] == ["done"]


@pytest.mark.parametrize("mark", ["", "{", "[]", '{"sha256": 1}'])
def test_a_damaged_mark_is_no_mark(images: Path, tmp_path: Path, mark: str):
    jobs = resume.plan([images / "b.png"], tmp_path / "out")
    Recorder().run(jobs)
    (jobs[0].folder / resume.MARK).write_text(mark)
    assert [outcome.status for outcome in Recorder().run(jobs)] == ["done"]


def test_a_mark_names_its_source_and_settings(images: Path, tmp_path: Path):
    jobs = resume.plan([images / "b.png"], tmp_path / "out")
    Recorder().run(jobs)
    mark = json.loads((jobs[0].folder / resume.MARK).read_text())
    assert mark["source"] == str(images / "b.png")
    assert mark["settings"] == {"network": "islet-unet", "um_per_px": 2.0, "sizes": [1, 2]}
    assert sorted(path.name for path in jobs[0].folder.iterdir()) == ["result.txt", "run.json"]
