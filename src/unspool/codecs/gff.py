"""GFF3, a table of features of a genome (version 1.26 of the specification): its coding sequences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from unspool.codecs.bases import Contig, Gene
from unspool.codecs.streams import lines
from unspool.errors import DataError

__all__ = ["Gff"]

LONGEST_LINE = 100_000


class Gff:
    """The CDS of a GFF3 file, by contig. DataError, with the line, for what is no GFF3."""

    def __init__(self, path: Path):
        self.path, self.first = path, {}
        self._parts: dict[str, dict[str, list[tuple[int, int, int, bool, int]]]] = {}
        self.circular: set[str] = set()
        self._pseudo: set[str] = set()
        self.codes: Counter[int] = Counter()
        for number, line in enumerate(lines(path, LONGEST_LINE, "GFF3 has one feature a line"), 1):
            if line.startswith("##FASTA"):
                break
            if line.strip() and not line.startswith("#"):
                self._line(number, line.rstrip("\n"))

    @property
    def contigs(self) -> set[str]:
        return set(self.first)

    def _line(self, number: int, line: str) -> None:
        fields = line.split("\t")
        if len(fields) != 9:
            raise DataError(
                f"{self.path}, line {number}: a line of GFF3 has nine columns with tabs between, this one {len(fields)}"
            )
        contig, _, kind, start, stop, _, strand, _, rest = fields
        more = dict(pair.split("=", 1) for pair in rest.split(";") if "=" in pair)
        self.first.setdefault(contig, number)
        if more.get("Is_circular", "").lower() == "true":
            self.circular.add(contig)
        if "pseudo" in kind.lower() or "pseudogene" in more.get("biotype", "") or more.get("pseudo") == "true":
            self._pseudo.add(more.get("ID", ""))
        if kind != "CDS":
            if more.get("Parent") in self._pseudo:
                self._pseudo.add(more.get("ID", ""))
            return
        if not (start.isdigit() and stop.isdigit() and 1 <= int(start) <= int(stop)):
            raise DataError(f"{self.path}, line {number}: start {start!r} and end {stop!r} are no range; both count from 1")
        if "transl_table" in more and more["transl_table"].isdigit():
            self.codes[int(more["transl_table"])] += 1
        pseudo = more.get("Parent") in self._pseudo or more.get("pseudo") == "true"
        key = more.get("ID") or f"line {number}"
        part = (int(start) - 1, int(stop), -1 if strand == "-" else 1, pseudo, number)
        self._parts.setdefault(contig, {}).setdefault(key, []).append(part)

    def onto(self, contig: Contig) -> Contig:
        """A contig with its genes."""
        genes = []
        circular = contig.circular or contig.name in self.circular
        for key, parts in self._parts.get(contig.name, {}).items():
            start, stop = min(p[0] for p in parts), max(p[1] for p in parts)
            if stop > len(contig) and not (circular and len(parts) == 1 and stop < 2 * len(contig)):
                raise DataError(
                    f"{self.path}, line {parts[0][4]}: a CDS ends at {stop:,}, beyond the {len(contig):,} bases of {contig.name}"
                )
            genes.append(Gene(start, stop, parts[0][2], key.removeprefix("CDS:"), any(p[3] for p in parts), len(parts) > 1))
        code = self.codes.most_common(1)[0][0] if self.codes else 0
        return Contig(contig.name, contig.bases, genes, code, circular, contig.place)
