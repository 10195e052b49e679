import dataclasses
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

import unspool
from unspool.errors import ConfigError
from unspool.insight.opened import BEGIN, judged, predicted, translated
from unspool.insight.report import inspect, write_report
from unspool.insight.units import followers, labels
from unspool.layers import Embedding, Recurrent
from unspool.models import Categorical, EncoderDecoder, ManyToOne, OneToMany
from unspool.sequences import Sequences
from unspool.vocabulary import Vocabulary

pytest.importorskip("matplotlib")


def writer(hidden=8):
    torch.manual_seed(0)
    return OneToMany(Embedding(12, 6), Recurrent("lstm", 6, hidden), Categorical(hidden, 12)).eval()


IDS = torch.tensor([5, 7, 6, 5, 4, 9, 11])
SYMBOLS = list("abcadef")


def test_surprise_is_that_of_the_model():
    model = writer()
    opened = predicted(model, IDS, SYMBOLS)
    assert opened.symbols == [BEGIN, *SYMBOLS[:-1]]
    inputs = torch.cat([torch.tensor([Vocabulary.begin]), IDS[:-1]])[None]
    assert opened.surprise() == pytest.approx(model.nll(inputs, IDS[None])[0][0].tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", ["predicted", "judged", "translated"])
def test_attributions_are_complete_whatever_the_task(kind):
    torch.manual_seed(0)
    if kind == "predicted":
        opened = predicted(writer(), IDS, SYMBOLS)
    elif kind == "judged":
        stack = Recurrent("gru", 6, 8, bidirectional=True)
        model = ManyToOne(Embedding(12, 6), stack, Categorical(16, 3), pooling="attention").eval()
        opened = judged(model, IDS, SYMBOLS, ["x", "y", "z"])
        assert sum(map(float, opened.classes.values())) == pytest.approx(1, abs=0.01)
    else:
        encoder, decoder = Recurrent("lstm", 6, 4, bidirectional=True), Recurrent("lstm", 6, 8)
        model = EncoderDecoder(Embedding(12, 6), encoder, Embedding(12, 6), decoder, Categorical(8, 12)).eval()
        opened = translated(model, IDS, SYMBOLS, [4, 5, 2], ["p", "q", "."], "pq")
        assert np.sum(opened.attention.weights, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
        said = torch.tensor([[4, 5, 2]])
        nll = model.nll(Sequences.collate([IDS]), torch.cat([torch.tensor([[Vocabulary.begin]]), said[:, :-1]], 1), said)
        assert opened.answer(opened.x).item() == pytest.approx(-nll.sum().item(), abs=1e-5)
    whole, nothing = opened.answer(torch.cat([opened.x, torch.zeros_like(opened.x)])).tolist()
    found = opened.attribution()
    assert sum(found["integrated gradients"]) == pytest.approx(whole - nothing, abs=2e-3)
    assert found["left out"][2] == pytest.approx(whole - opened.answer(opened.x[:, [0, 1, 3, 4, 5, 6]]).item(), abs=1e-5)
    # near nothing the answer is linear, so the first-order shares are complete as well
    near = dataclasses.replace(opened, x=1e-3 * opened.x)
    little = sum(near.attribution(["gradient x input"])["gradient x input"])
    step = near.answer(torch.cat([near.x, torch.zeros_like(near.x)])).tolist()
    assert little == pytest.approx(step[0] - step[1], rel=0.05, abs=1e-5)
    with torch.no_grad():
        losses = opened.losses(*opened.stack(opened.x)).tolist()
    assert losses[-1] == pytest.approx(-whole, abs=1e-5)


def test_a_planted_unit_is_found_and_reported_on_the_other_half():
    torch.manual_seed(0)
    text = "he said (so it is) and (more) " * 20
    label = labels(text, r"\([^)]*\)")
    assert label[:20].tolist() == [0] * 8 + [1] * 10 + [0] * 2
    s = torch.randn(len(text), 6)
    s[:, 3] = label + 0.3 * torch.randn(len(text))
    (best,) = followers([{"c": torch.randn(len(text), 6)}, {"c": s}], {"in brackets": label})
    assert (best.layer, best.state, best.unit) == (1, "c", 3)
    assert best.reported > 0.7
    s[len(text) // 2 :, 4] = label[len(text) // 2 :]  # better, but only where it must not be looked for
    assert followers([{"c": s}], {"in brackets": label})[0].unit == 3
    assert followers([{"c": s}], {"never": torch.zeros(len(text))}) == []


def test_parts_that_are_not_there():
    opened = predicted(writer(), IDS, SYMBOLS)
    with pytest.raises(ConfigError, match="no 'attention' to inspect"):
        inspect(opened, ["attention"])
    with pytest.raises(ConfigError, match="did you mean 'gradient'"):
        inspect(opened, ["gradint"])
    with pytest.raises(ConfigError, match="a report is"):
        write_report("x.pdf", "x", {})


def test_no_text_ends_the_page(tmp_path):
    found = inspect(predicted(writer(), IDS, ["</script>", *SYMBOLS[1:]]), ["surprise"])
    write_report(tmp_path / "r.html", "</title><b>", found)
    page = (tmp_path / "r.html").read_text()
    assert page.count("</script>") == 2
    assert "</title><b>" not in page


def test_the_facts_are_json_and_the_figures_a_picture(tmp_path):
    opened = predicted(writer(), IDS, SYMBOLS)
    found = inspect(opened)
    assert set(found) == {"input", "answer", "gradient", "gates", "attribution", "surprise"}
    assert len(found["gradient"]["Jacobian norm by distance"]["layer 1"]) == len(SYMBOLS) + 1  # a small model
    write_report(tmp_path / "r.json", "r", found)
    assert json.loads((tmp_path / "r.json").read_text()) == found
    write_report(tmp_path / "r.png", "r", found)
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    lines = [f"the {a} ({b}) saw #{b}" for a in ("cat", "dog", "cow") for b in ("red", "old", "big")] * 30
    (folder / "lines.txt").write_text("\n".join(lines))
    return unspool.train("text", folder / "lines.txt", folder / "model", epochs=4, hidden=32, progress="silent")


def test_the_command_line(model, tmp_path, run):
    done = run("inspect", model.folder.path, "the cat (red) saw </script> #red")
    assert done.returncode == 0, done.stderr
    assert "halves in" in done.stdout
    assert "least expected" in done.stdout
    assert run("inspect", model.folder.path, "the dog (big) saw #big " * 30, "--only", "surprise").returncode == 0  # no file's name
    done = run("inspect", model.folder.path, model.folder.path.parent / "lines.txt", "--only", "units", "--json")
    assert {"in brackets", "in a hashtag"} <= {row["rule"] for row in json.loads(done.stdout)["units"]}
    (tmp_path / "rules.json").write_text('{"the colour": "red|old"}')
    done = run(
        "inspect",
        model.folder.path,
        model.folder.path.parent / "lines.txt",
        "--rules",
        tmp_path / "rules.json",
        "--only",
        "units",
        "--json",
    )
    assert [row["rule"] for row in json.loads(done.stdout)["units"]] == ["the colour"]
    lines = model.folder.path.parent / "lines.txt"
    (tmp_path / "bad.json").write_text('{"x": "("}')
    for arguments, message in [
        (("inspect", model.folder.path, "a"), "fewer than two symbols"),
        (("inspect", model.folder.path, "gone.txt"), "gone.txt"),
        (("inspect", model.folder.path, "the cat", "--only", "gats"), "did you mean 'gates'"),
        (("inspect", model.folder.path, "the cat", "-o", "a.pdf"), "a report is .html"),
        (("inspect", model.folder.path, lines, "--only", "units", "-o", tmp_path / "a.png"), "there is no figure of"),
        (("demo", "gradints"), "did you mean 'gradients'"),
        (("demo", "positions", "-o", tmp_path / "no" / "a.png"), "cannot write"),
        (("inspect", model.folder.path, "the cat", "--rules", tmp_path / "bad.json"), "holds no rules"),
        (("inspect", model.folder.path, "the cat", "-o", tmp_path / "no" / "a.html"), "cannot write"),
    ]:
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


def test_the_page_opens_in_a_browser(model, tmp_path, run):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("there is no Chromium")
    page = tmp_path / "report.html"
    done = run("inspect", model.folder.path, "the <!--<script>{{data}} cat (red) saw </script> #red", "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "src=" not in text.replace("img-src", "")
    assert "url(http" not in text
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            *command,
            "--enable-logging=stderr",
            "--v=0",
            f"--log-net-log={log}",
            "--virtual-time-budget=3000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for part in ("gradient", "gates", "attribution", "surprise"):
        assert f'<section id="{part}">' in done.stdout, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr
    assert "background: rgba(" in done.stdout
