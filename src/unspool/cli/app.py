"""The command line: parse, call the library, show. One file a verb; heavy imports happen inside the verb."""

from __future__ import annotations

import io
import sys

import typer

from unspool.cli import demo, evaluate, generate, info, inspect, predict, score, summarize, train

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Recurrent sequence models for the machine you own."
)
app.add_typer(train.app, name="train")
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("generate")(generate.generate)
app.command("predict")(predict.predict)
app.command("score")(score.score)
app.command("summarize")(summarize.summarize)
app.command("inspect")(inspect.inspect)
app.command("info")(info.info)


def main() -> None:
    """Runs the command line. What the library refuses is one sentence and exit code 2."""
    from unspool.errors import UnspoolError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a symbol that a terminal lacks is no reason to stop
    try:
        app()
    except UnspoolError as error:
        print(f"unspool: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        print("unspool: there is not enough memory for this; take a smaller --hidden, or less at once", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"unspool: {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
