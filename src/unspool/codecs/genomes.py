"""Genomes from FASTA, GenBank, and FASTA with GFF3, contig by contig: bases as small numbers, and the genes that are annotated.

Names may end in .gz, .xz or .bz2 as well. A GFF3 file belongs to the FASTA file of the same name (up to its endings), or stands
beside it alone in a folder.
"""

from __future__ import annotations

import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs.bases import IUPAC, Contig, Gene, encoded
from unspool.codecs.gff import Gff
from unspool.codecs.streams import PACKERS, lines
from unspool.errors import DataError, did_you_mean, extra

__all__ = ["Genomes"]

FASTA = (".fa", ".fasta", ".fna", ".ffn", ".fas")
GENBANK = (".gb", ".gbk", ".gbff", ".genbank")
GFF = (".gff", ".gff3")
AMINO = frozenset("EFILPQZX*")  # letters that no nucleotide has
LONGEST_LINE = 100_000


class Genomes:
    """The contigs of files and folders. Each iteration reads the files again; `counts` tells what the last one met, and why genes
    and contigs were left out.

    `annotated`: every file must come with genes. DataError, with file, record and line, for what cannot be read.
    """

    def __init__(self, paths: Sequence[str | Path], *, annotated: bool = False):
        self.paths, self.annotated = [Path(p) for p in paths], annotated
        self.counts: Counter[str] = Counter()
        self._files = [pair for path in self.paths for pair in self._pairs(path)]

    def _pairs(self, path: Path) -> list[tuple[Path, Path | None]]:
        """Files of sequences, each with the GFF3 file of its genes."""
        if not path.exists():
            near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"there is no file or folder {path}{did_you_mean(path.name, near)}")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        found = [(p, _annotation(p) if _kind(p) == "fasta" else None) for p in files if _kind(p) in ("fasta", "genbank")]
        if not found:
            known = ", ".join((*FASTA[:3], *GENBANK[:3]))
            raise DataError(f"{path} holds no genome; names end in {known}, or these and .gz, .xz or .bz2")
        if self.annotated:
            for file, gff in found:
                if _kind(file) == "fasta" and gff is None:
                    raise DataError(f"{file} comes without genes: put {_stem(file)}.gff3 beside it, or give GenBank files")
        return found

    def __iter__(self) -> Iterator[Contig]:
        self.counts = Counter()
        for file, gff in self._files:
            genes = Gff(gff) if gff else None
            names: set[str] = set()
            for contig in _genbank(file) if _kind(file) == "genbank" else _fasta(file):
                if contig.name in names:
                    raise DataError(f"{contig.place}: the name {contig.name!r} comes twice in {file}; names must differ")
                names.add(contig.name)
                yield self._counted(contig if genes is None else genes.onto(contig))
            if genes and (unknown := sorted(genes.contigs - names)):
                raise DataError(
                    f"{gff}, line {genes.first[unknown[0]]}: it speaks of {unknown[0]!r}, which {file} does not hold; that has "
                    f"{', '.join(sorted(names)[:5])}"
                )

    def _counted(self, contig: Contig) -> Contig:
        self.counts.update({"contigs": 1, "bases": len(contig)})
        self.counts.update(f"genes left out, {gene.fault}" if gene.fault else "genes" for gene in contig.genes)
        return contig


def _kind(path: Path) -> str:
    name = path.name.lower()
    name = name.removesuffix(path.suffix.lower()) if path.suffix.lower() in PACKERS else name
    ending = Path(name).suffix
    return "fasta" if ending in FASTA else "genbank" if ending in GENBANK else "gff" if ending in GFF else ""


def _stem(path: Path) -> str:
    """The name without its endings of packing and format, and without what says that it is of bases."""
    name = path.name.removesuffix(path.suffix) if path.suffix.lower() in PACKERS else path.name
    return re.sub(r"\.(dna(\.toplevel)?|dna_sm\.toplevel|genomic)$", "", Path(name).stem)


def _annotation(path: Path) -> Path | None:
    """The GFF3 file of a FASTA file."""
    near = [p for p in path.parent.iterdir() if _kind(p) == "gff"]
    stem = _stem(path)
    own = [p for p in near if _stem(p) == stem] or [p for p in near if _stem(p).startswith(stem)]
    fastas = [p for p in path.parent.iterdir() if _kind(p) == "fasta"]
    return own[0] if own else near[0] if len(near) == 1 and len(fastas) == 1 else None


def _text(path: Path) -> Any:
    """A file as text, unpacked."""
    try:
        opener = PACKERS.get(path.suffix.lower())
        if opener is None:
            with path.open("rb") as file:
                if file.read(2) == b"\x1f\x8b":
                    raise DataError(f"{path} is packed by gzip although its name does not say so; call it {path.name}.gz")
        return io.TextIOWrapper((opener or open)(path, "rb"), "latin-1")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _fasta(path: Path) -> Iterator[Contig]:
    name, first, parts, number = "", 0, [], 0
    for number, line in enumerate(lines(path, LONGEST_LINE, "FASTA files have short lines"), 1):
        if line.startswith(">"):
            if first:
                yield _contig(path, name, first, parts)
            name, first, parts = (line[1:].split() or [""])[0], number, []
            if not name:
                raise DataError(f"{path}, line {number}: a record without a name; each begins with >NAME")
        elif line.strip() and not line.startswith(";"):
            if not first:
                raise DataError(f"{path}, line {number}: a FASTA file begins with >NAME, this one with {line[:30]!r}")
            codes = encoded(line.strip())
            if (codes == 255).any():
                _refuse(path, name, number, line.strip())
            parts.append(codes)
    if not first:
        raise DataError(f"{path} holds no record; FASTA files have lines that begin with >NAME")
    yield _contig(path, name, first, parts)


def _refuse(path: Path, name: str, number: int, line: str) -> None:
    wrong = next(letter for letter in line if encoded(letter)[0] == 255)
    share = sum(letter.upper() in AMINO for letter in line) / len(line)
    hint = "this looks like proteins; genomes are needed" if share > 0.1 else "letters of bases are " + IUPAC
    raise DataError(f"{path}, record {name}, line {number}: {wrong!r} is no base; {hint}")


def _contig(path: Path, name: str, first: int, parts: list[np.ndarray], **more: Any) -> Contig:
    if not parts:
        raise DataError(f"{path}, line {first}: the record {name} is empty")
    return Contig(name, np.concatenate(parts), place=f"{path}, record {name}", **more)


def _genbank(path: Path) -> Iterator[Contig]:
    reader = extra("Bio.SeqIO", "dna")
    with _text(path) as file:
        records = reader.parse(file, "genbank")
        count = 0
        while True:
            try:
                record = next(records, None)
            except (ValueError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
                raise DataError(f"{path}, record {count + 1}: it cannot be read as GenBank ({error})") from error
            if record is None:
                break
            count += 1
            yield _of_record(path, record)
    if not count:
        raise DataError(f"{path} holds no GenBank record; such files begin with LOCUS")


def _of_record(path: Path, record: Any) -> Contig:
    try:
        bases = encoded(bytes(record.seq))
    except Exception as error:  # Biopython raises an error of its own for a record without its sequence
        raise DataError(f"{path}, record {record.id}: it has no sequence; take the full record, not its summary") from error
    if not len(bases):
        raise DataError(f"{path}, record {record.id}: the record is empty")
    if (bases == 255).any():
        raise DataError(f"{path}, record {record.id}: base {int((bases == 255).argmax()) + 1} is no base; letters are {IUPAC}")
    genes, codes = [], Counter[int]()
    for feature in record.features:
        if feature.type != "CDS":
            continue
        codes[int((feature.qualifiers.get("transl_table") or ["1"])[0])] += 1
        genes.append(_of_feature(feature, len(bases)))
    circular = record.annotations.get("topology") == "circular"
    code = codes.most_common(1)[0][0] if codes else 0
    return Contig(record.id, bases, genes, code, circular, f"{path}, record {record.id}")


def _of_feature(feature: Any, length: int) -> Gene:
    """A CDS as a gene; one that runs over the origin of a circle ends beyond its length, one of several parts counts as partial."""
    parts = feature.location.parts
    strand = -1 if feature.location.strand == -1 else 1
    start, stop = int(feature.location.start), int(feature.location.end)
    joined = len(parts) > 1
    if len(parts) == 2:
        low, high = sorted(parts, key=lambda part: int(part.start))
        if int(low.start) == 0 and int(high.end) == length:  # over the origin
            start, stop, joined = int(high.start), length + int(low.end), False
    fuzzy = any(str(position)[0] in "<>" for part in parts for position in (part.start, part.end))
    name = next((feature.qualifiers[key][0] for key in ("locus_tag", "gene", "protein_id") if key in feature.qualifiers), "")
    pseudo = "pseudo" in feature.qualifiers or "pseudogene" in feature.qualifiers
    return Gene(start, stop, strand, name, pseudo, fuzzy or joined)
