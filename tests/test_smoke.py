"""The main job in small: what ``make test-pythons`` runs under every Python."""

from mxnetseg import cli


def test_train_evaluate_predict(tmp_path):
    data = "data.options={size: [64, 96], scenes: 8}"
    train = ["train", "--model", "bisenet", "--backbone", "xception39", "--crop", "64", "--ctx",
             "cpu", "--batch-size", "4", "--epochs", "1", "--set", data]  # fmt: skip
    assert cli.main([*train, "--out", str(tmp_path / "run")]) == 0
    best = str(tmp_path / "run" / "best.params")
    assert cli.main(["eval", "--checkpoint", best, "--ms", "--out", str(tmp_path / "eval")]) == 0
    color = ["eval", "--checkpoint", best, "--mode", "testval", "--out", str(tmp_path / "color")]
    assert cli.main(color) == 0
    images = sorted(str(p) for p in (tmp_path / "color" / "color").rglob("*.png"))[:2]
    assert cli.main(["predict", "--checkpoint", best, *images, "-o", str(tmp_path / "out")]) == 0
