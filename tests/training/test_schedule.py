import pytest

from unspool.errors import ConfigError
from unspool.training import Options, seconds
from unspool.training.progress import Report, advice, clock
from unspool.training.schedule import learning_rate


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("45", 45), (20, 20)])
def test_budgets(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "10 apples", "m"])
def test_what_is_no_budget(text):
    with pytest.raises(ConfigError, match="a budget is a time such as"):
        seconds(text)


def test_options_need_an_end():
    with pytest.raises(ConfigError, match="a budget"):
        Options()
    with pytest.raises(ConfigError, match="learning_rate must be above 0"):
        Options(epochs=1, learning_rate=-1)


def test_the_rate_warms_up_and_falls_to_nothing():
    options = Options(epochs=1, learning_rate=1.0, warmup=10)
    assert learning_rate(options, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(options, 1, 0.04) == pytest.approx(0.8, abs=0.01)  # a short training warms up faster
    assert learning_rate(options, 50, 0.5) == pytest.approx(0.5)
    assert learning_rate(options, 99, 1.0) == pytest.approx(0.0)


def report(**given):
    facts = {
        "done": 0.5,
        "seconds": 1,
        "left": 1,
        "step": 1,
        "epoch": 1,
        "speed": 1,
        "unit": "nats",
        "train": 1.0,
        "valid": 1.0,
        "best": 1.0,
    }
    return Report(**{**facts, "baselines": {"uniform": 3.0, "5-gram": 1.5}, "sample": None, **given})


def test_one_line_of_advice():
    assert advice(report()) == "better than every baseline, and still learning"
    assert "not yet better than 5-gram" in advice(report(valid=2.0, best=2.0, train=2.0))
    assert "over-fitting" in advice(report(valid=1.2, train=0.5))
    assert "memorising" in advice(report(train=0.5))


def test_clock():
    assert (clock(65), clock(3725), clock(float("nan"))) == ("1:05", "1:02:05", "?")
