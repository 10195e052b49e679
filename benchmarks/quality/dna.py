"""Quality of `unspool train dna` with its default settings, beside pyrodigal in the same run (pip install '.[bench]').

    python -m benchmarks.quality.dna ROW [--minutes M] [--data FOLDER] [--kept]

Rows: genes (one model; three sets of genomes of species it has not seen, and the genetic code of all), throughput (after genes),
splice (ten models, which share the minutes). The models are kept in `models/`.
"""

from __future__ import annotations

import lzma
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unspool
from benchmarks.quality.rows import MODELS, command, run
from benchmarks.quality.rows import train as train_model
from benchmarks.record import record
from unspool.codecs.bases import Contig, Gene, decoded
from unspool.codecs.genetic import genetic_code
from unspool.codecs.genomes import Genomes
from unspool.errors import extra
from unspool.tasks.dna_scores import Tally, longest_frames

TRAIN = (
    "escherichia_coli",
    "ensembl/Bacillus_subtilis_best7003",
    "ensembl/Caulobacter_crescentus_cb15",
    "phage/enterobacteria_phage",
    "phage/yersinia_phage",
)
TEST = {
    "S. aureus": "ensembl/Staphylococcus_aureus",
    "Acinetobacter phages": "phage/acinetobacter_phage",
    "M. mycoides, code not given": "mycoplasma_mycoides",
}
OTHERS = (
    "corynebacterium_diphtheriae",
    "biopython/NC_000932_arabidopsis_chloroplast.gb.xz",
    "biopython/NC_005816_yersinia_plasmid_pPCP1.gb.xz",
)
MEASURES = ("stop F1", "both ends F1", "base F1")
SPLIT = (
    "trained on E. coli, B. subtilis, Caulobacter, the Enterobacteria and Yersinia phages, 5 % of each contig validating; tested "
    "on whole genomes of other species; truth: CDS that are not pseudo, of one interval, a multiple of three; pooled over files"
)
READ = """
import resource, sys, unspool
model = unspool.load(sys.argv[1])
genes = sum(len(found.genes) for found in model.predict([sys.argv[2]]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, genes)
"""


def genes(data: Path, minutes: float) -> None:
    model, seconds = train_model("dna", "dna", [data / name for name in TRAIN], minutes)
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("dna"), "split": SPLIT}
    codes: dict[str, tuple[int, int]] = {}
    for name, folder in TEST.items():
        ways: dict[str, Callable[[list[Contig]], list[list[Gene]]]] = {
            "unspool": lambda genome: _own(model, genome, codes),
            "pyrodigal single, code given": lambda genome: _prodigal(genome, meta=False),
            "pyrodigal meta": lambda genome: _prodigal(genome, meta=True),
            "longest open frames": lambda genome: [longest_frames(c.bases, genetic_code(c.code or 11)) for c in genome],
        }
        scores = {way: _scored(data / folder, call) for way, call in ways.items()}
        for measure in MEASURES:
            others = {way: found[measure] for way, found in scores.items() if way != "unspool"}
            own = scores["unspool"]
            more = {key: own[key] for key in ("genes", "found", "start accuracy", "stop recall by length in bases")}
            record("dna", f"dna/{name}", measure, own[measure], "higher", baselines=others, **facts, **more)
        print({way: {m: round(found[m], 4) for m in MEASURES} for way, found in scores.items()}, file=sys.stderr)
    for name in (*TRAIN, *OTHERS):
        for genome in Genomes([data / name]).apart():
            _own(model, list(genome), codes)
    wrong = {name: f"{found}, not {true}" for name, (found, true) in codes.items() if found != true}
    facts |= {"seconds": 0, "contigs": len(codes), "wrong": wrong}
    share = 100 * (1 - len(wrong) / len(codes))
    record("dna", "dna/all genomes", "genetic code right, % of contigs", share, "higher", baselines={}, unit="%", **facts)


def _own(model: Any, genome: list[Contig], codes: dict[str, tuple[int, int]]) -> list[list[Gene]]:
    found = list(model.annotate(genome))
    codes.update({one.contig.name: (one.code, 4 if one.contig.code == 4 else 11) for one in found})
    return [[called.gene for called in one.genes] for one in found]


def _prodigal(genome: list[Contig], *, meta: bool) -> list[list[Gene]]:
    """pyrodigal as in its "single" mode, trained on each genome with its code given, or in its "meta" mode."""
    texts = [decoded(contig.bases) for contig in genome]
    meta = meta or sum(map(len, texts)) < 20_000  # it needs as much to train
    finder: Any = extra("pyrodigal", "bench").GeneFinder(meta=meta)
    if not meta:
        finder.train(*texts, translation_table=genome[0].code or 11)
    return [[Gene(int(g.begin) - 1, int(g.end), int(g.strand)) for g in finder.find_genes(text)] for text in texts]


def _scored(path: Path, call: Callable[[list[Contig]], list[list[Gene]]]) -> dict[str, Any]:
    tally = Tally()
    for each in Genomes([path], annotated=True).apart():
        genome = list(each)
        for contig, found in zip(genome, call(genome), strict=True):
            true, odd = ([g for g in contig.genes if bool(g.fault) == wrong] for wrong in (False, True))
            tally.add(true, odd, found, len(contig))
    return tally.scores()


def throughput(data: Path, minutes: float) -> None:
    """Bases a second with two threads beside pyrodigal meta with one; and the most memory of a process that reads 10 Mb."""
    model: Any = unspool.load(MODELS / "dna")
    contig = next(iter(Genomes([data / "escherichia_coli/NC_000913.gbk.xz"])))
    text = decoded(contig.bases)
    finder = extra("pyrodigal", "bench").GeneFinder(meta=True)
    ours, theirs = [], []
    for _ in range(3):
        began = time.perf_counter()
        list(model.annotate([contig]))
        ours.append(len(contig) / (time.perf_counter() - began))
        began = time.perf_counter()
        finder.find_genes(text)
        theirs.append(len(contig) / (time.perf_counter() - began))
    rates = {"unspool": statistics.median(ours), "pyrodigal meta, one thread": statistics.median(theirs)}
    ratio = rates["unspool"] / rates["pyrodigal meta, one thread"]
    facts: dict[str, Any] = {"command": command("dna"), "seconds": 0, "bases_a_second": rates}
    facts["split"] = f"E. coli K-12, {torch.get_num_threads()} threads; medians of three in turns"
    measure = "times pyrodigal meta on one thread"
    record("dna", "throughput, two threads", measure, ratio, "higher", baselines={"pyrodigal meta": 1.0}, **facts)
    file = MODELS / "ten-megabases.fa"
    file.write_text(">x\n" + "\n".join((text * 3)[i : i + 80] for i in range(0, 10_000_000, 80)) + "\n")
    done = subprocess.run([sys.executable, "-c", READ, str(MODELS / "dna"), str(file)], capture_output=True, text=True, check=True)
    facts = {"command": command("dna"), "seconds": 0, "baselines": {}, "split": "one contig of 10 Mb, the whole process"}
    record("dna", "peak memory for 10 Mb", "GB", int(done.stdout.split()[0]) / 1e6, "lower", **facts)


def splice(data: Path, minutes: float) -> None:
    """Ten folds by the entry that a window was cut from; of windows that are the same the first counts."""
    rows: dict[str, tuple[str, str]] = {}
    for line in lzma.decompress((data / "uci_splice/splice.data.xz").read_bytes()).decode().splitlines():
        label, name, bases = (part.strip() for part in line.split(","))
        rows.setdefault(bases, (label, name.split("-")[0]))
    entries = sorted({entry for _, entry in rows.values()})
    order = np.random.default_rng(0).permutation(len(entries))
    fold = {entries[n]: place % 10 for place, n in enumerate(order.tolist())}
    right = total = 0
    seconds = 0.0
    others: Counter[str] = Counter()
    for number in range(10):
        files = [MODELS / f"splice-{part}.csv" for part in ("train", "test")]
        for file, test in zip(files, (False, True), strict=True):
            inside = (f"{label},{entry},{bases}\n" for bases, (label, entry) in rows.items() if (fold[entry] == number) == test)
            file.write_text("class,entry,sequence\n" + "".join(inside))
        model, took = train_model("dna", f"splice-{number}", files[:1], minutes / 10)
        found = model.evaluate(files[1:])
        seconds, total = seconds + took, total + found["examples"]
        right += round(found["accuracy"] * found["examples"])
        others.update({name: value * found["examples"] for name, value in found["baselines"].items()})
        print(number, found["examples"], round(found["accuracy"], 4), round(took), "s", file=sys.stderr)
    facts: dict[str, Any] = {"seconds": round(seconds), "command": command("dna"), "windows": total}
    facts["baselines"] = {name: 100 * value / total for name, value in others.items()}
    facts["split"] = "ten seeded folds by source entry, windows that come twice removed; a seeded tenth of the entries validates"
    record("dna", "dna/uci_splice", "accuracy %", 100 * right / total, "higher", **facts)


ROWS = {"genes": (genes, 40), "throughput": (throughput, 0), "splice": (splice, 10)}

if __name__ == "__main__":
    run("dna", ROWS)
