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
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unspool.codecs.bases import IUPAC, Contig, Gene, encoded
from unspool.codecs.genetic import codons, genetic_code
from unspool.codecs.gff import Gff
from unspool.codecs.streams import PACKERS, lines, there
from unspool.errors import DataError, extra

__all__ = ["Genomes"]

FASTA = (".fa", ".fasta", ".fna", ".ffn", ".fas")
GENBANK = (".gb", ".gbk", ".gbff", ".genbank")
GFF = (".gff", ".gff3")
AMINO = frozenset("EFILPQZX*")  # letters that no nucleotide has
LONGEST_LINE = 100_000


class Genomes:
    """The contigs of files and folders. Each iteration reads the files again; `counts` tells what the last one met, and why genes
    were left out.

    `annotated`: every file must come with genes; where not, GFF3 files are not looked at. DataError, with file, record and line,
    for what cannot be read.
    """

    def __init__(self, paths: Iterable[str | Path], *, annotated: bool = False):
        self.paths, self.annotated = [Path(p) for p in paths], annotated
        self.counts: Counter[str] = Counter()
        self._files = [pair for path in self.paths for pair in self._pairs(path)]

    def _pairs(self, path: Path) -> list[tuple[Path, Path | None]]:
        """Files of sequences, each with the GFF3 file of its genes."""
        there(path)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        kinds = [(p, _kind(p)) for p in files]
        found = [(p, _annotation(p) if self.annotated and kind == "fasta" else None) for p, kind in kinds if kind in READ]
        if not found:
            known = ", ".join((*FASTA[:3], *GENBANK[:3]))
            raise DataError(f"{path} holds no genome; names end in {known}, or these and .gz, .xz or .bz2")
        if self.annotated:
            for file, gff in found:
                if _kind(file) == "fasta" and gff is None:
                    raise DataError(f"{file} comes without genes: put {_stem(file)}.gff3 beside it, or give GenBank files")
        return found

    def __iter__(self) -> Iterator[Contig]:
        for found in self.each():
            if isinstance(found, DataError):
                raise found
            yield found

    def each(self) -> Iterator[Contig | DataError]:
        """As iteration, but a record or file that is wrong comes as its error, and the others follow."""
        self.counts = Counter()
        for file, gff in self._files:
            try:
                yield from self._of(file, gff)
            except DataError as error:
                yield error

    def readable(self, faults: list[DataError]) -> Iterator[Contig]:
        """What can be read; what is wrong with the rest is appended to `faults`."""
        for found in self.each():
            faults.append(found) if isinstance(found, DataError) else (yield found)

    def apart(self) -> list[Genomes]:
        """The same files, each by itself."""
        return [Genomes([file], annotated=self.annotated) for file, _ in self._files]

    def _of(self, file: Path, gff: Path | None) -> Iterator[Contig | DataError]:
        genes = Gff(gff) if gff else None
        names: set[str] = set()
        for contig in READ[_kind(file)](file):
            if isinstance(contig, DataError):
                yield contig
            elif contig.name in names:
                yield DataError(f"{contig.place}: the name {contig.name!r} comes twice in {file}; names must differ")
            else:
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
        if not self.annotated or not contig.genes:
            return contig
        stopped = _stopped(contig, contig.code or 11)
        if not contig.code and stopped > 0.1 * len(contig.genes) and _stopped(contig, 4) < stopped / 10:
            return replace(contig, code=4)
        if stopped > 0.5 * len(contig.genes):
            raise DataError(
                f"{contig.place}: {stopped:,} of {len(contig.genes):,} genes have a stop codon inside under genetic code "
                f"{contig.code or 11}; write transl_table=CODE into the annotation, or take the genes of these very bases"
            )
        self.counts.update({"genes with a stop codon inside": stopped} if stopped else {})
        return contig


def _stopped(contig: Contig, code: int) -> int:
    """How many genes have a stop codon inside."""
    stops = genetic_code(code).stops
    own = (contig.gene_bases(gene) for gene in contig.genes if not gene.fault)
    return sum(bool(stops[codons(bases)[:-3:3]].any()) for bases in own)


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


def _fasta(path: Path) -> Iterator[Contig | DataError]:
    head, first, parts, number = "", 0, list[np.ndarray](), 0
    wrong: DataError | None = None  # with the record that is being read
    for number, line in enumerate(lines(path, LONGEST_LINE, "FASTA files have short lines"), 1):
        if line.startswith(">"):
            if first:
                yield wrong or _contig(path, head, first, parts)
            head, first, parts, wrong = line[1:].strip(), number, [], None
            if not head:
                wrong = DataError(f"{path}, line {number}: a record without a name; each begins with >NAME")
        elif line.strip() and not line.startswith(";") and not wrong:
            if not first:
                raise DataError(f"{path}, line {number}: a FASTA file begins with >NAME, this one with {line[:30]!r}")
            codes = encoded(line.strip())
            if (codes == 255).any():
                wrong = _refusal(f"{path}, record {head.split()[0]}, line {number}", line.strip())
            parts.append(codes)
    if not first:
        raise DataError(f"{path} holds no record; FASTA files have lines that begin with >NAME")
    yield wrong or _contig(path, head, first, parts)


def _refusal(place: str, text: str) -> DataError:
    """What is wrong with letters that are not all bases."""
    wrong = next(letter for letter in text if encoded(letter)[0] == 255)
    if sum(letter.upper() in AMINO for letter in text) > 0.1 * len(text):
        hint = "this looks like proteins; genomes are needed"
    else:
        hint = "this is RNA; write T for U" if wrong in "Uu" else "letters of bases are " + IUPAC
    return DataError(f"{place}: {wrong!r} is no base; {hint}")


def _contig(path: Path, head: str, first: int, parts: list[np.ndarray]) -> Contig | DataError:
    """A record; many assemblers write in its heading that it is a circle."""
    name = head.split()[0]
    if not parts:
        return DataError(f"{path}, line {first}: the record {name} is empty")
    circular = re.search(r"\b(topology=circular|circular=(true|yes|y))\b", head, re.IGNORECASE) is not None
    return Contig(name, np.concatenate(parts), circular=circular, place=f"{path}, record {name}")


def _genbank(path: Path) -> Iterator[Contig | DataError]:
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


def _of_record(path: Path, record: Any) -> Contig | DataError:
    place = f"{path}, record {record.id}"
    try:
        bases = encoded(bytes(record.seq))
    except Exception:  # Biopython raises an error of its own for a record without its sequence
        return DataError(f"{place}: it has no sequence; take the full record, not its summary")
    if not len(bases):
        return DataError(f"{place}: the record is empty")
    if (bases == 255).any():
        at = int((bases == 255).argmax())
        return _refusal(f"{place}, base {at + 1}", str(record.seq[at : at + 60]))
    genes, codes = [], Counter[int]()
    for feature in record.features:
        if feature.type != "CDS":
            continue
        codes[int((feature.qualifiers.get("transl_table") or ["1"])[0])] += 1
        genes.append(_of_feature(feature, len(bases)))
    circular = record.annotations.get("topology") == "circular"
    code = codes.most_common(1)[0][0] if codes else 0
    return Contig(record.id, bases, genes, code, circular, place)


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


READ = {"fasta": _fasta, "genbank": _genbank}
