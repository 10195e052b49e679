"""A trained finder of genes: read genomes, find their genetic code and their genes, and say how well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from unspool.codecs import annotations
from unspool.codecs.annotations import Called
from unspool.codecs.bases import Contig, Gene, reverse_complement
from unspool.codecs.genetic import codons, genetic_code
from unspool.codecs.genomes import Genomes
from unspool.errors import ConfigError, DataError
from unspool.models.strands import STEP, Strands
from unspool.tasks.dna_calling import Read, Weights, called, candidates
from unspool.tasks.dna_config import DnaConfig
from unspool.tasks.dna_scores import Tally, longest_frames
from unspool.tasks.outputs import written
from unspool.tasks.task import Trained, configure
from unspool.training import ModelFolder, pick_device

__all__ = ["Annotation", "DnaModel", "build", "read_contig", "recognised"]

PIECE, MARGIN = 3000 * STEP, 300 * STEP  # bases that are read as one window, and on either side of what counts of it
TOGETHER = 4  # windows
ROUND = 9_000  # bases of the other end that are seen at the ends of a circle
TELLING = 20_000  # bases of a contig that tell their own genetic code
SURE = 0.8  # probability of a class where codons are counted
TGA, TGG, ENDING = 56, 58, (48, 50)


@dataclass(frozen=True)
class Annotation:
    """The genes of a contig, its genetic code, and how likely each step of nine bases is to be in a gene (T,)."""

    contig: Contig
    genes: list[Called]
    code: int
    coding: np.ndarray = field(repr=False)

    def to_json(self) -> dict[str, Any]:
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


@torch.inference_mode()
def read_contig(model: Strands, bases: np.ndarray) -> Read:
    """What the network says of a contig (N,), in windows that overlap, so that memory does not grow with it; each step is taken
    from the window in whose middle it lies."""
    device = next(model.parameters()).device
    length = -(-len(bases) // STEP) * STEP
    padded = np.full(length, 4, np.uint8)
    padded[: len(bases)] = bases
    classes = np.empty((length // STEP, 7), np.float32)
    starts = np.empty((length, 2), np.float16)
    places = list(range(0, length, PIECE))
    for first in range(0, len(places), TOGETHER):
        spans = [(max(0, at - MARGIN), min(length, at + PIECE + MARGIN)) for at in places[first : first + TOGETHER]]
        if len({b - a for a, b in spans}) == 1:
            parts = [np.stack([padded[a:b] for a, b in spans])]
        else:
            parts = [padded[a:b][None] for a, b in spans]
        answers = [answer for part in parts for answer in zip(*(x.float().cpu() for x in _said(model, part, device)), strict=True)]
        for at, (a, _), (kinds, begins) in zip(places[first : first + TOGETHER], spans, answers, strict=True):
            stop = min(length, at + PIECE)
            classes[at // STEP : stop // STEP] = kinds[(at - a) // STEP : (stop - a) // STEP].numpy()
            starts[at:stop] = begins[at - a : stop - a].numpy()
    return Read(classes, starts[: len(bases)])


def _said(model: Strands, bases: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    classes, starts = model(torch.from_numpy(bases).to(device))
    return classes.log_softmax(2), starts


def recognised(bases: np.ndarray, read: Read) -> np.ndarray:
    """What tells the genetic code: of the codons that the network is sure to lie in genes, how many are TGA, TGG, TAA or TAG, and
    how many there are, (4,)."""
    counts = np.zeros(4, np.int64)
    likely = np.exp(read.classes)
    for strand in (1, -1):
        own = bases if strand > 0 else reverse_complement(bases)
        codon = codons(own)
        for frame in range(3):
            kind = 1 + frame if strand > 0 else 4 + (len(bases) - frame) % 3
            steps = likely[:, kind] > SURE
            steps = steps & np.roll(steps, 2) & np.roll(steps, -2)  # a stop at the end of a gene tells nothing
            sure = np.repeat(steps, STEP)[: len(bases)]
            sure = sure if strand > 0 else sure[::-1]
            inside = codon[frame::3][sure[: len(codon)][frame::3]]
            counts += [(inside == TGA).sum(), (inside == TGG).sum(), np.isin(inside, ENDING).sum(), len(inside)]
    return counts


def code_of(counts: np.ndarray) -> int:
    """The genetic code: 11, or 4 where TGA is tryptophan, or 25 where it is glycine, which is far more frequent."""
    tga, tgg, ends, total = counts.tolist()
    if tga < 4 * ends + 5 or tga < 0.001 * total:
        return 11
    return 25 if tga + tgg > 0.02 * total else 4


class DnaModel(Trained):
    """A finder of genes."""

    model: Strands

    def __init__(self, folder: ModelFolder, stored: dict[str, Any], device: str = "auto"):
        super().__init__(folder, stored)
        self.config: DnaConfig = configure(DnaConfig, stored["config"])
        self.model = build(self.config, pick_device(device), 0)
        folder.load_into(self.model)
        self.model.eval()
        found = self.metrics.get("weights")  # what starts and genes are judged by; not there where training was interrupted
        self.weights = Weights(tuple(found["start"]), tuple(found["gene"]), found["cost"]) if found else Weights()

    def predict(self, inputs: Iterable[str | Path], *, code: int = 0) -> Iterator[Annotation]:
        """The genes of each contig of genomes; `code` is their genetic code, else it is recognised."""
        if code:
            genetic_code(code)
        for path in inputs:
            seen = np.zeros(4, np.int64)
            for contig in Genomes([path]):
                found, seen = self.annotate(contig, code, seen)
                yield found

    def annotate(self, contig: Contig, code: int = 0, seen: np.ndarray | None = None) -> tuple[Annotation, np.ndarray]:
        """The genes of a contig; `seen` is what contigs of the same genome told of its code, which comes back with this one's."""
        around = min(ROUND, len(contig)) if contig.circular else 0
        bases = np.concatenate([contig.bases[len(contig) - around :], contig.bases, contig.bases[:around]])
        rest = -len(bases) % STEP
        half = (rest + STEP * (rest % 2)) // 2  # as much on either side, so that the other strand is read in the same steps
        bases, offset = np.pad(bases, half, constant_values=4), around + half
        read = read_contig(self.model, bases)
        counts = recognised(bases, read)
        seen = counts + (0 if seen is None else seen)
        code = code or code_of(counts if len(contig) >= TELLING else seen)
        found = candidates(bases, read, genetic_code(code), self.weights, self.config.shortest, edges=not around)
        places, likely = called(found, self.weights)
        logits = found.logits(self.weights)
        genes = []
        for n, p in zip(places.tolist(), likely.tolist(), strict=True):
            start, stop = int(found.start[n]) - offset, int(found.stop[n]) - offset
            if not around:  # whole codons within the contig
                start, stop = start + 3 * max(0, -(start // 3)), stop - 3 * max(0, -((len(contig) - stop) // 3))
            if 0 <= start < len(contig):
                gene = Gene(start, stop, int(found.strand[n]), partial=bool(found.partial[n]))
                genes.append(Called(gene, float(logits[n]), p))
        genes.sort(key=lambda called: (called.gene.start, called.gene.stop))
        coding = np.repeat(1 - np.exp(read.classes[:, 0]), STEP)[offset : offset + len(contig)][STEP // 2 :: STEP]
        return Annotation(contig, genes, code, coding), seen

    def evaluate(self, data: Sequence[str | Path]) -> dict[str, Any]:
        """Precision, recall and F1 of stops, both ends and bases, pooled over annotated genomes, beside the longest open frames;
        the genetic codes recognised and stated."""
        genomes = Genomes(data, annotated=True)
        ours, longest, codes = Tally(), Tally(), {}
        for contig in genomes:
            found, _ = self.annotate(contig)
            true, odd = ([g for g in contig.genes if bool(g.fault) == wrong] for wrong in (False, True))
            ours.add(true, odd, [c.gene for c in found.genes], len(contig))
            longest.add(true, odd, longest_frames(contig.bases, genetic_code(contig.code or 11)), len(contig))
            codes[contig.name] = f"{found.code}" + (f", stated {contig.code}" if contig.code and contig.code != found.code else "")
        names = ("stop F1", "both ends F1", "base F1")
        scores = longest.scores()
        others = {f"longest open frames, {name}": scores[name] for name in names}
        read = {name: int(count) for name, count in sorted(genomes.counts.items())}
        return {"data": [str(p) for p in data], "read": read, **ours.scores(), "genetic codes": codes, "baselines": others}

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
        said: list[str] = []
        contigs = count = 0
        with ExitStack() as stack:
            main, *beside = (stack.enter_context(written(path)) if path else None for path in (output, proteins, genes, track))

            def put(lines: Iterable[str], file: IO[str] | None) -> None:
                for line in lines:
                    said.append(line) if file is None else file.write(line + "\n")

            put([] if as_json else annotations.HEAD, main)
            for found in samples:
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
        return "\n".join(said) if output is None else f"{count:,} genes of {contigs:,} contigs are in {output}"


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
