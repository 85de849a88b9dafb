"""Files that were written must go on loading; files that were made to harm must do nothing but be refused."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import xpnet
from tests.corpus.attacks import ATTACKS, Touch, honest
from tests.corpus.write_schema import X, Y
from tests.soak import mutate
from tests.soak.watch import Watch
from xpnet.checkpoint import read_notes

CORPUS = Path(__file__).parent / "corpus"
BACKEND = xpnet.open_backend("numpy")


# What was written


@pytest.mark.parametrize("path", sorted(CORPUS.glob("schema-*/*.safetensors")), ids=lambda path: path.stem)
def test_files_of_each_schema_go_on_loading(path: Path) -> None:
    net, notes = xpnet.load(path), read_notes(path)
    answer = json.loads(notes["answer"])
    assert (str(net.epochs), str(net.steps)) == (notes["epochs"], notes["steps"])
    if answer is None:
        assert not net.built
    else:
        np.testing.assert_allclose(net.predict(X), answer, rtol=1e-5, atol=1e-6)
    if net.metrics:
        net.fit(X, Y, epochs=1, batch_size=2, verbose=0)
        assert np.isfinite(net.history["loss"][-1])


def test_each_schema_has_its_files() -> None:
    from xpnet.assembly import SCHEMA

    for schema in range(1, SCHEMA + 1):
        assert {path.stem for path in (CORPUS / f"schema-{schema}").iterdir()} >= {"deep", "values", "unbuilt"}


# What was made to harm


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    """One hook for the module, with all of xpnet imported that a load may import by itself."""
    folder = tmp_path_factory.mktemp("attacks")
    for name in xpnet.__all__:
        getattr(xpnet, name)
    (folder / "file").write_bytes(honest(folder))
    xpnet.load(folder / "file", backend=BACKEND)
    return Watch(folder / "file")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_without_effect(name: str, watch: Watch, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = ATTACKS[name](mark, honest(tmp_path))
    watch.seen.clear()
    # The load of other processes, and of other libraries' threads, is not ours.
    outcome, seconds = mutate.timed(Path(watch.path), content, watch, time.thread_time)
    assert outcome == "refused"
    assert seconds < 1
    assert watch.seen == []
    assert not mark.exists()


def test_the_watch_sees_what_it_is_there_for(watch: Watch, tmp_path: Path) -> None:
    import pickle

    watch.seen.clear()
    with watch:
        pickle.loads(pickle.dumps(Touch(tmp_path / "mark")))
        (tmp_path / "other").write_text("")
    assert (tmp_path / "mark").exists()
    assert {seen.partition("'")[0].partition("(")[0] for seen in watch.seen} >= {"pickle.find_class", "compile", "open"}


def test_a_mutated_file_gives_a_network_or_an_error(tmp_path: Path) -> None:
    """Some thousand; a million of them: python -m tests.soak.mutate"""
    found = mutate.run(0, range(6_000), tmp_path)
    kinds = {name.partition(":")[0] for name in found if name.endswith((": refused", ": loaded"))}
    assert kinds == {mutation.__name__ for mutation in mutate.MUTATIONS}
