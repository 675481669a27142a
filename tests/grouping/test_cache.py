"""The groups cache: what it holds, and that no fault of it stops or changes a run."""

import errno
import logging
import multiprocessing
import zipfile

import filelock
import numpy as np
import pytest
from scan_shapes import raster

from ptycho.grouping import GroupRule, all_groups, get_neighbor_indices
from ptycho.grouping import cache as group_cache
from ptycho.grouping.cache import CachePlace, find_groups
from ptycho.grouping.cache_file import FORMAT_VERSION
from ptycho.grouping.sample import draw
from ptycho.io.npz import NpzFile

X, Y = raster(12, 10, step=3.0)
RULE = GroupRule()


@pytest.fixture
def scan_file(tmp_path, monkeypatch):
    """Path of a dataset; the user's own cache folder is out of reach."""
    monkeypatch.setattr(
        group_cache.platformdirs, "user_cache_path", lambda *_: tmp_path / "user_cache"
    )
    return tmp_path / "scan.v2.npz"


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO)
    return caplog


def find(scan_file, x=X, y=Y, rule=RULE, folder=None, **changes):
    return find_groups(x, y, rule, cache=CachePlace.of(scan_file, folder), **changes)


def check_rebuilt(scan_file, log, reason):
    """The groups are right, the log says why they were recomputed, the file is good again."""
    log.clear()
    found = find(scan_file)
    np.testing.assert_array_equal(found.groups, all_groups(X, Y, RULE))
    assert "groups cache not used" in log.text
    assert reason in log.text
    assert "groups cache created" in log.text
    log.clear()
    assert find(scan_file).path == found.path
    assert "groups cache used" in log.text


def test_the_first_run_writes_the_file_and_the_second_uses_it(scan_file, log):
    first = find(scan_file)
    assert [p.name for p in scan_file.parent.iterdir()] == ["scan.v2.g2k8.groups_cache.npz"]
    assert "groups cache created" in log.text
    assert "one-time cost" in log.text
    log.clear()
    second = find(scan_file)
    assert "groups cache used" in log.text
    assert "created" not in log.text
    assert isinstance(second.groups, np.memmap)
    np.testing.assert_array_equal(first.groups, second.groups)
    np.testing.assert_array_equal(first.groups, all_groups(X, Y, RULE))


def test_plain_numpy_reads_what_the_plan_lists(scan_file):
    with np.load(find(scan_file).path) as stored:
        groups = stored["all_groups"]
        assert groups.shape == (len(all_groups(X, Y, RULE)), 4)
        assert groups.dtype == np.int32
        assert stored["gridsize"] == 2
        assert stored["overlap_factor"] == 8.0
        assert stored["overlap_factor"].dtype == np.float64
        assert len(str(stored["dataset_checksum"])) == 64
        assert stored["format_version"] == FORMAT_VERSION
        assert "K nearest neighbours" in str(stored["definition"])
        assert stored["max_distance"] == np.inf
        assert stored["min_distance"] == 0


def test_the_groups_start_at_a_multiple_of_64_bytes(scan_file):
    assert NpzFile(find(scan_file).path)["all_groups"].offset % 64 == 0


@pytest.mark.parametrize("method", ["uniform", "balanced", "sequential"])
def test_samples_are_the_same_with_created_used_and_no_cache(scan_file, method):
    tables = [find(scan_file), find(scan_file), find(None)]
    assert tables[2].path is None
    samples = [draw(t.neighbourhood, n=50, method=method, seed=4) for t in tables]
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_array_equal(samples[0], samples[2])


def test_without_a_cache_nothing_is_written(scan_file):
    find(None)
    assert not list(scan_file.parent.iterdir())


def test_a_cache_folder_takes_the_file_instead(scan_file, tmp_path):
    folder = tmp_path / "deep" / "cache"
    assert find(scan_file, folder=folder).path.parent == folder
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_different_rules_keep_different_files(scan_file):
    rules = (RULE, GroupRule(K=4), GroupRule(gridsize=3, K=9))
    names = {find(scan_file, rule=rule).path.name for rule in rules}
    assert names == {f"scan.v2.{rule}.groups_cache.npz" for rule in ("g2k8", "g2k4", "g3k9")}


def test_distance_limits_are_part_of_what_is_cached(scan_file, log):
    everything, compact = find(scan_file), find(scan_file, rule=GroupRule(max_distance=4.5))
    assert compact.path.name == "scan.v2.g2k8d4.5.groups_cache.npz"
    compact.path.rename(everything.path)
    assert len(find(scan_file).groups) == len(everything.groups)
    assert "made for another max_distance" in log.text
    assert 0 < len(compact.groups) < len(everything.groups)


@pytest.mark.parametrize("which", ["x", "y", "scan_index"])
def test_a_changed_position_is_noticed(scan_file, log, which):
    find(scan_file)
    changed = {"x": X.copy(), "y": Y.copy(), "scan_index": np.zeros(len(X), int)}
    changed[which][7] += 1
    log.clear()
    found = find(scan_file, **changed)
    assert "positions changed" in log.text
    np.testing.assert_array_equal(
        found.neighbourhood.neighbours,
        get_neighbor_indices(changed["x"], changed["y"], 8, scan_index=changed["scan_index"]),
    )


def damage(kind, path):
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not an archive")
    elif kind == "foreign":
        np.savez(path, weights=np.zeros(3))
    elif kind == "historic":
        groups, size = np.zeros((5, 4), np.int64), np.array(2)
        np.savez(path, all_groups=groups, dataset_checksum="0" * 32, gridsize=size)
    elif kind == "objects":
        rewrite(path, dataset_checksum=np.array([None]))
    elif kind == "newer":
        rewrite(path, format_version=np.array(99))
    elif kind == "short":
        rewrite(path, all_groups=None)
    elif kind == "wild":
        rewrite(path, neighbours=np.full((len(X), 8), 10**6, np.int32))
    elif kind == "narrow":
        rewrite(path, all_groups=np.zeros((5, 3), np.int32))
    elif kind == "shape":
        rewrite(path, format_version=np.arange(3))
    elif kind == "altered":
        with np.load(path) as stored:
            rewrite(path, all_groups=stored["all_groups"][::-1].copy())
    elif kind == "unsigned":
        rewrite(path, content_digest=None)
    elif kind == "flipped group":
        flipped = bytearray(content)
        flipped[NpzFile(path)["all_groups"].offset + 5000] ^= 0x01
        path.write_bytes(flipped)
    elif kind == "flipped":
        with zipfile.ZipFile(path) as archive:
            start = archive.getinfo("neighbours.npy").header_offset
        flipped = bytearray(content)
        flipped[start + 400] ^= 0xFF
        path.write_bytes(flipped)


def rewrite(path, **changes):
    with np.load(path) as stored:
        entries = {name: stored[name] for name in stored.files} | changes
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "file damaged"),
        ("empty", "file damaged"),
        ("text", "file damaged"),
        ("foreign", "foreign file"),
        ("historic", "historic format"),
        ("objects", "file damaged"),
        ("newer", "format version 99"),
        ("short", "all_groups missing"),
        ("wild", "indices outside the scan"),
        ("narrow", "wrong shape or type"),
        ("shape", "file damaged"),
        ("flipped", "file damaged"),
        ("flipped group", "content differs from what was written"),
        ("altered", "content differs from what was written"),
        ("unsigned", "no digest of its content"),
    ],
)
def test_a_bad_file_is_reported_and_replaced(scan_file, log, kind, reason):
    damage(kind, find(scan_file).path)
    check_rebuilt(scan_file, log, reason)


def test_a_folder_in_the_place_of_the_file_is_survived(scan_file, log):
    preferred, fallback = CachePlace.of(scan_file).paths(RULE)
    preferred.mkdir()
    assert find(scan_file).path == fallback
    assert "cannot write" in log.text


def forbid_writing(monkeypatch, *folders):
    real = group_cache.write_npz

    def write(path, arrays):
        if path.parent in folders:
            raise PermissionError(13, "Permission denied")
        real(path, arrays)

    monkeypatch.setattr(group_cache, "write_npz", write)


def test_a_read_only_folder_sends_the_file_to_the_users_cache(scan_file, log, monkeypatch):
    forbid_writing(monkeypatch, scan_file.parent)
    found = find(scan_file)
    assert scan_file.parent / "user_cache" in found.path.parents
    assert f"cannot write to {scan_file.parent} (Permission denied)" in log.text
    log.clear()
    assert find(scan_file).path == found.path
    assert "groups cache used" in log.text


def test_datasets_of_equal_name_do_not_share_the_users_cache(scan_file, tmp_path):
    (tmp_path / "other").mkdir()
    first = CachePlace.of(scan_file).paths(RULE)[1]
    second = CachePlace.of(tmp_path / "other" / scan_file.name).paths(RULE)[1]
    assert first != second
    assert first.name == second.name


def test_with_no_place_to_write_the_run_goes_on(scan_file, log, monkeypatch):
    user_folder = CachePlace.of(scan_file).paths(RULE)[1].parent
    forbid_writing(monkeypatch, scan_file.parent, user_folder)
    found = find(scan_file)
    assert found.path is None
    assert "groups cache: could not be written; the next run will recompute the groups" in log.text
    assert len(draw(found.neighbourhood, n=20)) == 20


def test_above_the_limit_nothing_is_written_and_the_size_is_reported(scan_file, log, monkeypatch):
    monkeypatch.setattr(group_cache, "LARGEST_BYTES", 10_000)
    found = find(scan_file)
    assert found.groups is None
    assert "need 0.1 MB, the limit is 0.0 MB" in log.text
    assert not list(scan_file.parent.glob("*.npz"))
    assert len(draw(found.neighbourhood, n=20)) == 20


def test_a_large_file_is_written_with_a_warning(scan_file, log, monkeypatch):
    monkeypatch.setattr(group_cache, "WARN_BYTES", 10_000)
    assert find(scan_file).path.exists()
    assert [r.levelname for r in log.records if "created" in r.message] == ["WARNING"]


def test_no_trace_is_left_of_a_write_that_fails(scan_file, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ptycho.io.npz.os.replace", fail)
    assert find(scan_file).path is None
    assert not [p for p in scan_file.parent.rglob("*") if p.is_file()]


def _find_in_another_process(path, start, results):
    start.wait()
    found = find_groups(X, Y, RULE, cache=CachePlace.of(path))
    results.put((str(found.path), int(np.sum(found.groups)), len(found.groups)))


def test_two_at_once_both_get_the_groups(scan_file):
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    arguments = (scan_file, start, results)
    runs = [context.Process(target=_find_in_another_process, args=arguments) for _ in range(4)]
    for run in runs:
        run.start()
    start.set()
    answers = {results.get(timeout=60) for _ in runs}
    for run in runs:
        run.join(60)
    groups = all_groups(X, Y, RULE)
    name = CachePlace.of(scan_file).paths(RULE)[0]
    assert answers == {(str(name), int(groups.sum()), len(groups))}
    assert [p.name for p in scan_file.parent.glob("*.npz")] == [name.name]


@pytest.mark.parametrize(
    "problem",
    [
        filelock.Timeout("held"),
        NotImplementedError("no flock"),
        OSError(errno.ENOLCK, "no locks available"),
    ],
    ids=["held for long", "unknown to the library", "unknown to the file system"],
)
def test_the_lock_is_no_obstacle_when_it_cannot_be_had(scan_file, log, monkeypatch, problem):
    monkeypatch.setattr(filelock.FileLock, "acquire", refusal(problem))
    assert find(scan_file).path.parent == scan_file.parent
    assert "no lock" in log.text


def test_a_folder_that_takes_no_lock_file_is_passed_over(scan_file, log, monkeypatch, tmp_path):
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(filelock.FileLock, "acquire", refusal(refused))
    assert find(scan_file).path is None
    assert "cannot write to" in log.text
    assert not list(scan_file.parent.glob("*.groups_cache.npz"))


def test_a_lock_file_that_stays_costs_nothing(scan_file, log, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(errno.EACCES, "in use", str(path))

    monkeypatch.setattr(group_cache.Path, "unlink", refuse)
    assert find(scan_file).path.parent == scan_file.parent
    assert "cannot write" not in log.text


def refusal(problem):
    """A stand-in for the acquisition of a lock that cannot be had."""

    def acquire(lock):
        raise problem

    return acquire


def test_the_checksum_is_the_same_on_every_machine(scan_file):
    with np.load(find(scan_file).path) as stored:
        assert str(stored["dataset_checksum"]) == PINNED


PINNED = "dd708d9adb76c2b0e1c9373a68fff9d66ffc3c5efce834f7fd473abd21805aec"
