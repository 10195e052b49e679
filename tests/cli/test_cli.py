"""The command line: what it prints, and that bad input gets one sentence and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unspool.cli import app
from unspool.engines import native


def cli(*arguments, capsys=None):
    """Runs the command line in this process; returns its exit code."""
    old, sys.argv = sys.argv, ["unspool", *map(str, arguments)]
    try:
        app.main()
    except SystemExit as exit_:
        return exit_.code or 0
    finally:
        sys.argv = old
    return 0


QUICK = ["--hidden", "16", "--epochs", "1", "--documents"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    data = folder / "lines.txt"
    data.write_text("\n".join(f"line {i} of a small file that is long enough to learn from" for i in range(200)), "utf-8")
    assert cli("train", "text", data, "-o", folder / "model", *QUICK) == 0
    return folder / "model", data


def test_train_says_what_it_does_and_what_is_next(tmp_path, tweets, capsys):
    assert cli("train", "text", tweets, "-o", tmp_path / "m", *QUICK) == 0
    shown = capsys.readouterr().err
    for part in ("400 documents", "documents text by subwords", "100%", "nats per character", f"unspool generate {tmp_path / 'm'}"):
        assert part in shown
    assert not list(tmp_path.glob(".unspool-*"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--learning-rate", "0"], "learning_rate must be above 0"),
        (["--budget", "0s"], "budget must be above 0"),
        (["--epochs", "0"], "epochs must be above 0"),
        (["--epochs", "nan"], "epochs must be above 0"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--seed", "99999999999999999999"], "seed must be 0 or more and below"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_made(tmp_path, tweets, options, why, run):
    done = run("train", "text", tweets, "-o", tmp_path / "m", "--documents", *options)
    assert done.returncode == 2
    assert why in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_network_larger_than_the_memory_is_refused(tmp_path, tweets, run):
    done = run("train", "text", tweets, "-o", tmp_path / "m", "--documents", "--hidden", "99999999")
    assert done.returncode == 2
    assert "there is not enough memory" in done.stderr


def test_where_a_model_goes_when_nothing_is_said(tmp_path, tweets, run):
    (tmp_path / "letters").mkdir()
    tweets.rename(tmp_path / "letters" / "a.txt")
    done = run("train", "text", "letters", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "letters-model" / "model.safetensors").exists()
    (tmp_path / ".letters.txt").write_bytes((tmp_path / "letters" / "a.txt").read_bytes())
    assert (
        run("train", "text", ".letters.txt", "-o", "letters/a.txt", *QUICK, cwd=tmp_path).stderr.count("is a file; name a folder")
        == 1
    )
    (tmp_path / "letters" / ".letters.txt").write_bytes((tmp_path / ".letters.txt").read_bytes())
    assert run("train", "text", ".letters.txt", *QUICK, cwd=tmp_path / "letters").returncode == 0
    assert (tmp_path / "letters" / "letters" / "model.safetensors").exists()
    (tmp_path / "letters-model" / "model.safetensors").unlink()
    for file in ("training.safetensors", "metrics.json", "README.md"):
        (tmp_path / "letters-model" / file).unlink(missing_ok=True)
    assert "holds nothing learned yet" in run("train", "text", "letters", "--resume", *QUICK, cwd=tmp_path).stderr
    assert run("train", "text", "letters", *QUICK, cwd=tmp_path).returncode == 0


def test_who_reads_the_progress_may_go(tmp_path, tweets):
    command = [sys.executable, "-m", "unspool", "train", "text", tweets, "-o", tmp_path / "m", *QUICK, "--json"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 0
    assert "BrokenPipe" not in said
    assert (tmp_path / "m" / "metrics.json").exists()


def test_output_that_cannot_be_written(model, run):
    if not Path("/dev/full").exists():
        pytest.skip("no such device here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unspool", "generate", model[0], "-n", "1"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options", [["--temperature", "inf"], ["--seed", "99999999999999999999"], ["--longest-copy", "-2"], ["--stop", ""]]
)
def test_generate_refuses_what_is_out_of_range(model, options, run):
    done = run("generate", model[0], *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_half_a_character_in_a_prompt_is_read(model, run):
    assert run("generate", model[0], "-n", 1, "--prompt", "line \udcff").returncode == 0


def test_json_lines_are_records(tmp_path, tweets, capsys):
    assert cli("train", "text", tweets, "-o", tmp_path / "m", *QUICK, "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {r["event"] for r in records} == {"note", "progress"}
    assert records[-1]["model"] == str(tmp_path / "m")
    assert {"done", "train", "valid", "baselines", "speed", "left", "advice"} <= records[-2].keys()


def test_generate(model, tmp_path, capsys):
    assert cli("generate", model[0], "-n", 2, "--prompt", "line", "--compare", model[1]) == 0
    out = capsys.readouterr().out
    assert out.count("longest run shared with the training text") == 2
    assert cli("generate", model[0], "-n", 2, "--json") == 0
    assert [json.loads(line).keys() for line in capsys.readouterr().out.splitlines()] == [{"text", "ended", "copied"}] * 2
    assert cli("generate", model[0], "-n", 3, "-o", tmp_path / "out.jsonl") == 0
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 3


def test_evaluate_and_score(model, capsys):
    assert cli("evaluate", model[0], model[1], "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["nats per character"] < answer["baselines"]["uniform, nats per character"]
    assert cli("evaluate", model[0], model[1]) == 0
    assert "bits per character" in capsys.readouterr().out
    assert cli("score", model[0], model[1]) == 0
    assert capsys.readouterr().out.count("\n") == 200
    assert cli("score", model[0], model[1], "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["log-probability"] < 0


def test_music_from_a_folder_to_a_piece(tmp_path, capsys):
    from unspool.tasks.cadences import write

    write(tmp_path / "pieces", 20, seed=1)
    arguments = ["--hidden", "16", "--epochs", "1", "--transpose", "1"]
    assert cli("train", "music", tmp_path / "pieces", "-o", tmp_path / "m", *arguments) == 0
    assert "20 pieces" in capsys.readouterr().err
    assert cli("generate", tmp_path / "m", "-o", tmp_path / "piece.mid", "--length", 2) == 0
    shown = capsys.readouterr().out
    for ending in ("mid", "wav", "png", "json"):
        assert f"{tmp_path / 'piece'}.{ending}" in shown
        assert (tmp_path / f"piece.{ending}").exists()
    prompt = tmp_path / "pieces/cadence-000.mid"
    assert cli("generate", tmp_path / "m", "-o", tmp_path / "more.mid", "--prompt", prompt, "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] >= 0
    assert cli("evaluate", tmp_path / "m", tmp_path / "pieces") == 0
    assert "kneser-ney 5-gram, nats per event" in capsys.readouterr().out
    assert cli("score", tmp_path / "m", tmp_path / "pieces", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["piece"].endswith("cadence-000.mid")
    assert cli("generate", tmp_path / "m", "--stop", "x") == 2
    assert "has no option 'stop'" in capsys.readouterr().err


def test_info_says_which_engine_serves_which_cell(capsys):
    assert cli("info") == 0
    shown = capsys.readouterr().out
    assert cli("info", "--json") == 0
    engines = json.loads(capsys.readouterr().out)["engine of each cell"]
    assert engines["LSTM()"] == ("native" if native.isa() else "torch")
    of_a_value = engines["GRU(reset='before')"]
    assert of_a_value in shown
    assert of_a_value == "native" if native.isa() else "torch has no GRU(reset='before')" in of_a_value


def test_a_configuration_file(model, tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text('hidden = 24\nepochs = 1.0\ncell = "gru"\n', "utf-8")
    assert cli("train", "text", model[1], "-o", tmp_path / "m", "--config", config) == 0
    assert json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))["config"]["cell"] == "gru"
    capsys.readouterr()
    for text, sentence in (("hiden = 3", "did you mean 'hidden'"), ("= 3", "no valid TOML")):
        config.write_text(text, "utf-8")
        assert cli("train", "text", model[1], "-o", tmp_path / "n", "--config", config) == 2
        assert sentence in capsys.readouterr().err


def bad(name, folder, model):
    """The arguments of a bad call."""
    empty, binary, latin = folder / "empty.txt", folder / "binary.txt", folder / "latin.txt"
    empty.write_text("")
    binary.write_bytes(b"some text\x00\x01\x02" * 50)
    latin.write_bytes(b"fine\nfine too\ncaf\xe9 noir\n")
    train = ["train", "text", "-o", folder / "new"]
    return {
        "empty": [*train, empty],
        "binary": [*train, binary],
        "encoding": [*train, latin],
        "missing": [*train, folder / "nothing.txt"],
        "short": [*train, latin.with_name("short.txt")],
        "option": [*train, model[1], "--hiddn", "3"],
        "budget": [*train, model[1], "--budget", "soon"],
        "both": [*train, model[1], "--documents", "--running"],
        "taken": ["train", "text", model[1], "-o", model[0]],
        "no folder": ["generate", folder / "nowhere"],
        "no model": ["generate", folder],
        "temperature": ["generate", model[0], "--temperature", "-1"],
        "long prompt": ["generate", model[0], "--prompt", "x" * 300],
        "task": ["demo", "musik"],
        "no music": ["train", "music", folder, "-o", folder / "new"],
        "text as music": ["train", "music", model[1], "-o", folder / "new"],
        "no notebook": ["train", "music", model[1], "-o", folder / "new", "--representation", "notbook"],
        "output": ["train", "text", model[1], "-o", model[1] / "model"],
        "unwritable": ["generate", model[0], "-o", folder / "no" / "such" / "folder.jsonl"],
    }[name]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("empty", "empty.txt"),
        ("binary", "NUL byte at byte 9"),
        ("encoding", "iconv"),
        ("missing", "nothing.txt"),
        ("short", "too short"),
        ("option", "Possible options: --hidden"),
        ("budget", "a budget is a time such as 90s, 10m or 1h30m, not 'soon'"),
        ("both", "exclude each other"),
        ("taken", "exists already"),
        ("no folder", "there is no model folder"),
        ("no model", "is no model folder: it has no config.json"),
        ("temperature", "temperature must be 0 or more, not -1.0"),
        ("long prompt", "the prompt has 300 characters, more than the length of 280"),
        ("output", "choose another -o"),
        ("task", "there is no task 'musik' (did you mean 'music'?)"),
        ("no music", "there are no MIDI files"),
        ("text as music", "lines.txt is no MIDI file"),
        ("no notebook", "did you mean 'notebook'"),
        ("unwritable", "cannot write"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(name, sentence, model, tmp_path, capsys):
    (tmp_path / "short.txt").write_text("too short\n")
    capsys.readouterr()
    assert cli(*bad(name, tmp_path, model)) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "new").exists()


def test_any_prompt_is_honoured(model, capsys):
    for prompt in ("日本語 🎉", "\x07 \u0301", "line 3"):
        assert cli("generate", model[0], "-n", 1, "--prompt", prompt) == 0
        assert capsys.readouterr().out.startswith(prompt)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, tweets):
    command = [
        sys.executable,
        "-m",
        "unspool",
        "train",
        "text",
        tweets,
        "-o",
        tmp_path / "m",
        "--hidden",
        "16",
        "--epochs",
        "200",
        "--documents",
    ]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        shown = ""
        while "valid" not in shown:
            shown = process.stderr.readline()
            assert process.poll() is None, shown
        process.send_signal(2)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "To go on, give the same command with --resume" in rest
    assert (tmp_path / "m" / "training.safetensors").exists()
    assert cli("generate", tmp_path / "m", "-n", 1) == 0
    assert cli("train", "text", tweets, "-o", tmp_path / "m", "--resume", "--hidden", "17") == 2
