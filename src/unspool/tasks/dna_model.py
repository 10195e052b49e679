"""A trained finder of genes: read genomes, find their genetic code and their genes, and say how well."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from unspool.codecs import annotations
from unspool.codecs.annotations import Called
from unspool.codecs.bases import Contig, decoded, encoded
from unspool.codecs.genetic import genetic_code
from unspool.codecs.genomes import Genomes
from unspool.engines import State
from unspool.errors import ConfigError, DataError
from unspool.insight.opened import Opened, answered
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_config import DnaConfig
from unspool.tasks.dna_reading import FEW, Seen, code_of, settled
from unspool.tasks.dna_scores import Tally, longest_frames
from unspool.tasks.dna_weights import BESIDE, Weights
from unspool.tasks.inputs import file_of
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device

__all__ = ["Annotation", "DnaModel", "build"]

TOGETHER = 10_000_000  # bases of contigs that are judged by the same habits
MANY = 500  # genes that are sure, so many that a contig has habits of its own
FRAMES = ("no gene", *(f"{strand}, frame {frame}" for strand in ("forward", "backward") for frame in range(3)))
TELLING = 20_000  # bases of a contig that tell their own genetic code


@dataclass(frozen=True)
class Annotation:
    """The genes of a contig, its genetic code, and how likely each step of nine bases is to be in a gene (T,). For a record that
    could not be read there is no contig; `fault` says why."""

    contig: Contig
    genes: list[Called]
    code: int
    coding: np.ndarray = field(repr=False)
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        if self.fault:
            return {"error": self.fault}
        genes = [
            {"start": g.gene.start + 1, "end": g.gene.stop, "strand": "+" if g.gene.strand > 0 else "-", "partial": g.gene.partial}
            | {"score": round(g.score, 3), "probability": round(g.probability, 4)}
            for g in self.genes
        ]
        return {"contig": self.contig.name, "bases": len(self.contig), "genetic code": self.code, "genes": genes}


def build(config: DnaConfig, device: torch.device, seed: int) -> Strands:
    """The network of a configuration, its weights drawn from the seed."""
    torch.manual_seed(seed)
    stack = config.stack(config.embedding, bidirectional=True)
    return Strands(stack, dropout=config.dropout or 0.0).to(device)


class DnaModel(Trained):
    """A finder of genes."""

    model: Strands

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.config: DnaConfig = configure(DnaConfig, stored["config"])
        self.model = build(self.config, pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()
        found = self.metrics.get("weights")  # by which genes are judged: at first, beside others, and by habits
        self.weights = [Weights(**w) for w in found] if found else [Weights(), Weights(gene=BESIDE)]

    def predict(self, inputs: Iterable[str | Path], *, code: int = 0) -> Iterator[Annotation]:
        """The genes of each contig of genomes, one in each file; `code` is their genetic code, else it is recognised. What cannot
        be read is said behind the others; DataError where nothing can be read."""
        if code:
            genetic_code(code)
        return self._predicted(Genomes(inputs).apart(), code)

    def _predicted(self, genomes: Sequence[Genomes], code: int) -> Iterator[Annotation]:
        faults: list[DataError] = []
        some = False
        for genome in genomes:
            for found in self.annotate(genome.readable(faults), code):
                some = True
                yield found
        if faults and not some:
            raise faults[0]
        nothing = Contig("", np.zeros(0, np.uint8))
        yield from (Annotation(nothing, [], 0, np.zeros(0), str(fault)) for fault in faults)

    def annotate(self, contigs: Iterable[Contig], code: int = 0) -> Iterator[Annotation]:
        """The genes of the contigs of one genome, whose `code` and habits are recognised from up to ten million bases at once."""
        group: list[Contig] = []
        for contig in contigs:
            if group and sum(map(len, group)) + len(contig) > TOGETHER:
                yield from self._annotated(group, code)
                group = []
            group.append(contig)
        yield from self._annotated(group, code)

    def _annotated(self, contigs: Sequence[Contig], code: int) -> Iterator[Annotation]:
        seen = [Seen(contig, self.model) for contig in contigs]
        answers: dict[int, list[Called]] = {}
        every = np.sum([one.counts for one in seen], axis=0)
        for one in seen:
            one.judge(code or code_of(one.counts if len(one.contig) >= TELLING else every), self.weights[0], self.config.shortest)
        alone = [[one] for one in seen if one.sure >= MANY]
        for genome in (*alone, [one for one in seen if one.sure < MANY]):
            shown = sum(one.sure for one in genome) >= FEW and len(self.weights) > 2
            weights = self.weights[1 + shown]
            habits = settled(genome, weights, shown=shown)
            answers |= {id(one): one.genes(weights, habits) for one in genome}
        for one in seen:
            yield Annotation(one.contig, answers[id(one)], one.code, one.coding())

    def opened(self, item: str | Path, most: int = 400) -> Opened:
        """The first bases of a genome, or bases as a text, nine a step: why the step that is surest to be in a gene is said to be.
        Looked at are the states of the strand given; those of the other one, which is read as well, stay as they are."""
        path = file_of(item)
        bases = next(iter(Genomes([path]))).bases if path else encoded(str(item).strip())
        if len(bases) < STEP or bases.max() > 4:
            raise DataError(f"{str(item)[:80]!r} is no file, nor a text of at least {STEP} bases such as ATGGCA…")
        bases = bases[: min(most, len(bases) // STEP) * STEP]
        device = next(self.model.parameters()).device
        with torch.no_grad():
            x = self.model.read(torch.from_numpy(bases).to(device)[None])[1]
            own, other = self.model.stack(x)[0].split(1)
            log_p = self.model.both(own, other)[0].log_softmax(1)
        at = int(log_p[:, 0].argmin())
        best = int(log_p[at, 1:].argmax()) + 1

        def loss(outputs: Tensor, state: State) -> Tensor:
            return -self.model.both(outputs, other.expand_as(outputs))[:, at].log_softmax(1)[:, best]

        symbols = [decoded(bases[i : i + STEP]) for i in range(0, len(bases), STEP)]
        strand = "forward" if best <= 3 else "backward"
        said = f"of all bases {at * STEP + 1:,}-{(at + 1) * STEP:,} are the likeliest to be in a gene, of the {strand} strand"
        classes = {name: f"{float(p):.3f}" for name, p in zip(FRAMES, log_p[at].exp(), strict=True)}
        return answered(symbols, x[:1], self.model.stack, loss, said, classes=classes, at=at)

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Precision, recall and F1 of stops, both ends and bases, pooled over annotated genomes, beside the longest open frames;
        the genetic codes recognised and stated."""
        ours, longest, codes, read = Tally(), Tally(), {}, Counter[str]()
        for genome in Genomes(data, annotated=True).apart():
            for found in self.annotate(genome):
                contig = found.contig
                true, odd = ([g for g in contig.genes if bool(g.fault) == wrong] for wrong in (False, True))
                ours.add(true, odd, [c.gene for c in found.genes], len(contig))
                longest.add(true, odd, longest_frames(contig.bases, genetic_code(contig.code or 11)), len(contig))
                told = contig.code and contig.code != found.code
                codes[contig.name] = f"{found.code}" + (f", stated {contig.code}" if told else "")
            read.update(genome.counts)
        names = ("stop F1", "both ends F1", "base F1")
        scores = longest.scores()
        others = {f"longest open frames, {name}": scores[name] for name in names}
        return {
            "data": [str(p) for p in data],
            "read": dict(sorted(read.items())),
            **ours.scores(),
            "genetic codes": codes,
            "baselines": others,
        }

    def examples(self, seed: int = 0) -> str:
        name = self.folder.path
        return (
            f"\nNext:\n  unspool train dna GENOMES -o MODEL\n"
            f"  unspool predict {name} GENOME.fa -o GENES.gff3 --proteins PROTEINS.faa"
        )

    def deliver(
        self,
        samples: Iterable[Annotation],
        output: Path | None = None,
        as_json: bool = False,
        *,
        proteins: Path | None = None,
        genes: Path | None = None,
        track: Path | None = None,
        region: str | None = None,
    ) -> str:
        """GFF3, or one JSON object a contig (.json), or a picture of a region (.png). `proteins` and `genes` are FASTA files of
        them, `track` a bedGraph of how likely each base is to be in a gene. All are written contig by contig."""
        if output is not None and output.suffix == ".png":
            return _picture(samples, output, region)
        as_json = as_json or (output is not None and output.suffix == ".json")
        said, faults = list[str](), list[str]()
        contigs = count = 0
        with ExitStack() as stack:
            main, *beside = (stack.enter_context(written(path)) if path else None for path in (output, proteins, genes, track))

            def put(lines: Iterable[str], file: IO[str] | None) -> None:
                for line in lines:
                    said.append(line) if file is None else file.write(line + "\n")

            put([] if as_json else annotations.HEAD, main)
            for found in samples:
                if found.fault:
                    faults.append(found.fault)
                    put([json.dumps(found.to_json()) if as_json else f"# left out: {found.fault}"], main)
                    continue
                contigs, count = contigs + 1, count + len(found.genes)
                put([json.dumps(found.to_json())] if as_json else annotations.gff3(found.contig, found.genes, found.code), main)
                made = (
                    lambda: annotations.proteins(found.contig, found.genes, found.code),  # noqa: B023
                    lambda: annotations.nucleotides(found.contig, found.genes),  # noqa: B023
                    lambda: annotations.bedgraph(found.contig, found.coding, STEP),  # noqa: B023
                )
                for file, lines in zip(beside, made, strict=True):
                    if file:
                        put(lines(), file)
        if output is None:
            return "\n".join(said)
        return "\n".join([f"{count:,} genes of {contigs:,} contigs are in {output}", *(f"left out: {fault}" for fault in faults)])


def _picture(samples: Iterable[Annotation], output: Path, region: str | None) -> str:
    """Draws a `region`, NAME:FIRST-LAST, else the first 20,000 bases of the first contig."""
    from unspool.insight.pictures import write_region

    asked = re.fullmatch(r"(.+):(\d+)-(\d+)", region) if region else None
    if region and (not asked or not int(asked[2]) < int(asked[3])):
        raise ConfigError(f"a region is NAME:FIRST-LAST in bases, such as chromosome:1000-20000, not {region!r}")
    for found in samples:
        if asked and found.contig.name != asked[1]:
            continue
        first, last = (int(asked[2]) - 1, min(int(asked[3]), len(found.contig))) if asked else (0, min(20_000, len(found.contig)))
        near = (c for c in found.genes if c.gene.start < last and c.gene.stop > first)
        inside = [(c.gene.start, c.gene.stop, c.gene.strand, c.probability) for c in near]
        title = f"{found.contig.name}, genetic code {found.code}"
        try:
            write_region(output, title, inside, found.coding.tolist(), (first, last), STEP)
        except OSError as error:
            raise DataError(f"cannot write {output}: {error.strerror}") from error
        return f"{len(inside):,} genes of {found.contig.name} are drawn in {output}"
    raise DataError(f"there is no contig {asked[1]!r} in the genomes given" if asked else "there is no contig to draw")
