"""``xpnet export``: the graph gives what the shell's network gives."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from shop import COLORS, QUICK, SHOP, Shell, fails, trained

import xpnet
from xpnet.cli.files import read_table
from xpnet.cli.models import load_model


@pytest.mark.parametrize(("target", "method"), [("grade", "predict"), ("price", "forward")])
def test_export_takes_the_table_s_own_units(shell: Shell, target: str, method: str) -> None:
    """The graph, fed with the file's numbers and a 1 for each row's color, gives what the shell's network gives."""
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    trained(shell, target)
    done = shell("export", "shop.safetensors", "shop.onnx", "--json", *["--link"] * (method == "predict"))
    assert done.status == 0, done.err
    found = done.json()
    assert found["features"] == [*(f"color = {color}" for color in COLORS), "size", "size is missing"]
    assert "rows of 5 features, float32: color = blue, color = green, color = red, size, size is missing" in done.err

    (size,) = (entry for entry in found["preparation"]["inputs"] if entry["name"] == "size")
    rows = [
        [*(float(row["color"] == color) for color in COLORS), size["mean"] if missing else float(row["size"]), missing]
        for row in SHOP
        for missing in [row["size"] == "NA"]
    ]
    session = InferenceSession("shop.onnx")
    (output,) = session.run(None, {"input": np.asarray(rows, np.float32)})
    model = load_model("shop.safetensors")
    features = model.preparation.features(read_table("shop.csv"), "float32")
    np.testing.assert_allclose(output, getattr(model.network, method)(features), rtol=1e-5, atol=1e-5)

    answers = [row[target] for row in shell("predict", "shop.safetensors", "shop.csv").table()]
    described = found["preparation"]["target"]
    if target == "grade":
        classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
        assert classes == described["classes"]
        assert [classes[i] for i in output.argmax(axis=1)] == answers
        assert "one number for each class: high, 'low, or so'" in done.err
    else:
        values = described["mean"] + described["deviation"] * output[:, 0]
        np.testing.assert_allclose(values, np.asarray(answers, float), rtol=1e-4, atol=1e-3)
        assert "it gives 'price' scaled: y = " in done.err


def test_export_scales_arrays_of_features(shell: Shell) -> None:
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    x = np.random.default_rng(0).integers(0, 256, (60, 3, 2)).astype(np.uint8)  # images have one mean for all
    np.savez("images.npz", x=x, y=(x[:, 0, 0] > 127).astype(int))
    assert shell("train", "images.npz", "--target", "y", *QUICK).status == 0
    done = shell("export", "images.safetensors", "images.onnx", "--json")
    assert done.json()["features"] == [f"x[{i}, {j}]" for i in range(3) for j in range(2)]
    (scores,) = InferenceSession("images.onnx").run(None, {"input": x.reshape(60, 6).astype(np.float32)})
    model = load_model("images.safetensors")
    features = model.preparation.features(read_table("images.npz"), "float32")
    np.testing.assert_allclose(scores, model.network.forward(features), rtol=1e-5, atol=1e-5)


def test_export_of_a_network_from_python_takes_what_it_was_trained_on(shell: Shell) -> None:
    for module in ("ndonnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    net = xpnet.Network([xpnet.Dense(2)], inputs=3, seed=0)
    net.save("net.safetensors")
    assert shell("export", "net.safetensors", "net.onnx").out == "written to net.onnx\n"
    fails(shell("export", "net.safetensors", "net.onnx"), "net.onnx exists", "--force")
    done = shell("export", "net.safetensors", "net.onnx", "--force", "--json")
    assert done.json() == {"onnx": "net.onnx", "features": None, "preparation": None}
    x = np.ones((4, 3), np.float32)
    (scores,) = InferenceSession("net.onnx").run(None, {"input": x})
    np.testing.assert_allclose(scores, net.forward(x), rtol=1e-6)


def test_export_names_the_extra_that_it_needs(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("net.safetensors")
    monkeypatch.setitem(sys.modules, "ndonnx", None)
    fails(shell("export", "net.safetensors", "net.onnx"), "pip install 'xpnet[onnx]'")
    assert not Path("net.onnx").exists()


def test_export_refuses_the_names_of_other_formats(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    xpnet.Network([xpnet.Dense(2)], inputs=3).save("net.safetensors")
    for name in ("net.h5", "net"):
        with pytest.raises(SystemExit, match="2"):
            shell("export", "net.safetensors", name)
        assert f"FILE is written as ONNX, so its name must end in .onnx; got '{name}'" in capsys.readouterr().err
        assert not Path(name).exists()
    Path("net.h5").write_text("another file")
    with pytest.raises(SystemExit, match="2"):
        shell("export", "net.safetensors", "net.h5")
    assert "must end in .onnx" in capsys.readouterr().err
    assert Path("net.h5").read_text() == "another file"
