"""Quality of `unspool train dna` with its default settings, beside pyrodigal in the same run (pip install '.[bench]').

    python -m benchmarks.quality.dna ROW [--minutes M] [--data FOLDER] [--kept]

Rows: genes (one model; three sets of genomes of species it has not seen, and the genetic code of all), throughput (after genes).
The model is kept in `models/`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        ways: dict[str, Callable[[Contig], list[Gene]]] = {
            "unspool": lambda contig: _own(model, contig, codes),
            "pyrodigal single, code given": _Prodigal(data / folder, meta=False),
            "pyrodigal meta": _Prodigal(data / folder, meta=True),
            "longest open frames": lambda contig: longest_frames(contig.bases, genetic_code(contig.code or 11)),
        }
        scores = {way: _scored(data / folder, call) for way, call in ways.items()}
        for measure in MEASURES:
            others = {way: found[measure] for way, found in scores.items() if way != "unspool"}
            own = scores["unspool"]
            more = {key: own[key] for key in ("genes", "found", "start accuracy", "stop recall by length in bases")}
            record("dna", f"dna/{name}", measure, own[measure], "higher", baselines=others, **facts, **more)
        print({way: {m: round(found[m], 4) for m in MEASURES} for way, found in scores.items()}, file=sys.stderr)
    for name in (*TRAIN, *OTHERS):
        for contig in Genomes([data / name]):
            _own(model, contig, codes)
    wrong = {name: f"{found}, not {true}" for name, (found, true) in codes.items() if found != true}
    facts |= {"seconds": 0, "contigs": len(codes), "wrong": wrong}
    share = 100 * (1 - len(wrong) / len(codes))
    record("dna", "dna/all genomes", "genetic code right, % of contigs", share, "higher", baselines={}, unit="%", **facts)


def _own(model: Any, contig: Contig, codes: dict[str, tuple[int, int]]) -> list[Gene]:
    found, _ = model.annotate(contig)
    codes[contig.name] = found.code, 4 if contig.code == 4 else 11
    return [called.gene for called in found.genes]


class _Prodigal:
    """pyrodigal as in its "single" mode, trained on each genome with its code given, or in its "meta" mode."""

    def __init__(self, path: Path, *, meta: bool):
        self._module, self._meta = extra("pyrodigal", "bench"), meta
        self._finder: Any = self._module.GeneFinder(meta=True) if meta else None

    def __call__(self, contig: Contig) -> list[Gene]:
        text = decoded(contig.bases)
        finder = self._finder
        if not self._meta:
            finder = self._module.GeneFinder()
            if len(text) < 20_000:
                finder = self._module.GeneFinder(meta=True)
            else:
                finder.train(text, translation_table=contig.code or 11)
        found = finder.find_genes(text)
        return [Gene(int(g.begin) - 1, int(g.end), int(g.strand)) for g in found]


def _scored(path: Path, call: Callable[[Contig], list[Gene]]) -> dict[str, Any]:
    tally = Tally()
    for contig in Genomes([path], annotated=True):
        true, odd = ([g for g in contig.genes if bool(g.fault) == wrong] for wrong in (False, True))
        tally.add(true, odd, call(contig), len(contig))
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
        model.annotate(contig)
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


ROWS = {"genes": (genes, 40), "throughput": (throughput, 0)}

if __name__ == "__main__":
    run("dna", ROWS)
