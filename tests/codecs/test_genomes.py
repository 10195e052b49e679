import gzip

import numpy as np
import pytest

from unspool.codecs.annotations import HEAD, Called, bedgraph, gff3, nucleotides, proteins
from unspool.codecs.bases import Contig, Gene, decoded, encoded, reverse_complement
from unspool.codecs.genetic import codons, genetic_code
from unspool.codecs.genomes import Genomes
from unspool.errors import ConfigError, DataError

GENE = "ATGAAACCCTGGTAA"  # M K P W


def fasta(file, **records):
    file.write_text("".join(f">{name} some words\n{text}\n" for name, text in records.items()))
    return file


def test_letters_and_back():
    bases = encoded("ACGTacgtNRYU")
    assert bases.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4, 255]
    assert decoded(bases[:-1]) == "ACGTACGTNNN"
    assert decoded(reverse_complement(encoded("AACGN"))) == "NCGTT"


def test_a_fasta_file_contig_by_contig(tmp_path):
    file = fasta(tmp_path / "a.fa", one="ACGT\nacg", two="NNN")
    found = list(Genomes([file]))
    assert [(c.name, decoded(c.bases)) for c in found] == [("one", "ACGTACG"), ("two", "NNN")]


def test_a_wrong_record_comes_as_its_error_and_the_others_follow(tmp_path):
    (tmp_path / "a.fa").write_text(">r\nACGU\nACGT\n>e\n>x [topology=circular]\nACGT\n>x\nA\n>y circular=false\nAC\n")
    (tmp_path / "b.fa.gz").write_text(">x\nACGT\n")
    (tmp_path / "c.fa").write_text(">z\nACG\n")
    found = list(Genomes([tmp_path]).each())
    assert [(c.name, len(c), c.circular) for c in found if isinstance(c, Contig)] == [
        ("x", 4, True),
        ("y", 2, False),
        ("z", 3, False),
    ]
    faults = [str(error) for error in found if isinstance(error, DataError)]
    assert len(faults) == 4
    for text, part in zip(faults, ("record r, line 2: 'U'", "the record e is empty", "'x' comes twice", "damaged"), strict=True):
        assert part in text


@pytest.mark.parametrize(("stated", "found"), [("", 4), (";transl_table=4", 4), (";transl_table=11", 0)])
def test_a_genetic_code_that_does_not_fit_its_genes(tmp_path, stated, found):
    gene = "ATGTGAAAATGGTAA"
    fasta(tmp_path / "a.fa", x=gene * 3)
    rows = (f"x\te\tCDS\t{15 * n + 1}\t{15 * n + 15}\t.\t+\t0\tID={n}{stated}\n" for n in range(3))
    (tmp_path / "a.gff3").write_text("".join(rows))
    genomes = Genomes([tmp_path], annotated=True)
    if found:
        assert next(iter(genomes)).code == found
    else:
        with pytest.raises(DataError, match="record x: 3 of 3 genes have a stop codon inside under genetic code 11"):
            list(genomes)


def test_packed_files_are_unpacked(tmp_path):
    (tmp_path / "a.fna.gz").write_bytes(gzip.compress(b">x\nACGT\n"))
    assert decoded(next(iter(Genomes([tmp_path]))).bases) == "ACGT"


GFF = """##gff-version 3
x\te\tregion\t1\t40\t.\t.\t.\tID=r;Is_circular=true
x\te\tCDS\t3\t17\t.\t+\t0\tID=CDS:a;transl_table=4
x\te\tgene\t20\t28\t.\t-\t.\tID=g;biotype=pseudogene
x\te\tCDS\t20\t28\t.\t-\t0\tID=b;Parent=g
x\te\tCDS\t30\t33\t.\t-\t0\tID=c
x\te\tCDS\t36\t44\t.\t-\t0\tID=d
"""


def test_genes_from_a_gff3_file_beside(tmp_path):
    fasta(tmp_path / "a.dna.toplevel.fa", x="A" * 40)
    (tmp_path / "a.1.gff3").write_text(GFF)
    genomes = Genomes([tmp_path], annotated=True)
    (contig,) = genomes
    assert contig.circular
    assert contig.code == 4
    assert contig.genes == [
        Gene(2, 17, 1, "a"),
        Gene(19, 28, -1, "b", True),
        Gene(29, 33, -1, "c"),
        Gene(35, 44, -1, "d"),
    ]
    assert genomes.counts == {
        "contigs": 1,
        "bases": 40,
        "genes": 2,
        "genes left out, pseudo": 1,
        "genes left out, length no multiple of three": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\te\tCDS\t3\t170\t.\t+\t0\tID=a\n", r"a\.gff3, line 1: a CDS ends at 170, beyond the 40 bases of x"),
        ("y\te\tCDS\t3\t17\t.\t+\t0\tID=a\n", r"a\.gff3, line 1: it speaks of 'y', which .*a\.fa does not hold; that has x"),
        ("x\te\tCDS\t9\t7\t.\t+\t0\tID=a\n", r"a\.gff3, line 1: start '9' and end '7' are no range"),
        ("x e CDS 3 17\n", r"a\.gff3, line 1: a line of GFF3 has nine columns with tabs between, this one 1"),
    ],
)
def test_a_gff3_file_that_does_not_fit_is_named(tmp_path, text, message):
    fasta(tmp_path / "a.fa", x="A" * 40)
    (tmp_path / "a.gff3").write_text(text)
    with pytest.raises(DataError, match=message):
        list(Genomes([tmp_path], annotated=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">r\nACGU\n", r"a\.fa, record r, line 2: 'U' is no base; this is RNA; write T for U"),
        (">p\nMKVLEQ\n", r"a\.fa, record p, line 2: 'L' is no base; this looks like proteins"),
        (">p\nACGT5\n", r"a\.fa, record p, line 2: '5' is no base; letters of bases are ACGT"),
        ("ACGT\n", r"a\.fa, line 1: a FASTA file begins with >NAME"),
        (">a\n>b\nACGT\n", r"a\.fa, line 1: the record a is empty"),
        (">a\nA\n>a\nC\n", "the name 'a' comes twice"),
        (">\nACGT\n", "line 1: a record without a name"),
    ],
)
def test_a_fasta_file_that_is_none_is_named(tmp_path, text, message):
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(DataError, match=message):
        list(Genomes([tmp_path / "a.fa"]))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no genome"):
        Genomes([tmp_path])
    file = fasta(tmp_path / "a.fa", x="ACGT")
    with pytest.raises(DataError, match=r"a\.fa comes without genes: put a\.gff3 beside it"):
        Genomes([file], annotated=True)
    with pytest.raises(DataError, match=r"did you mean 'a\.fa'"):
        Genomes([tmp_path / "b.fa"])
    (tmp_path / "c.gb").write_text("nothing")
    with pytest.raises(DataError, match=r"c\.gb holds no GenBank record"):
        list(Genomes([tmp_path / "c.gb"]))
    (tmp_path / "d.fa.gz").write_text(">x\nACGT\n")
    with pytest.raises(DataError, match=r"d\.fa\.gz: its compressed data is damaged"):
        list(Genomes([tmp_path / "d.fa.gz"]))


GENBANK = """LOCUS       X1                        60 bp    DNA     circular BCT 01-JAN-2020
DEFINITION  test.
ACCESSION   X1
VERSION     X1.1
FEATURES             Location/Qualifiers
     CDS             complement(4..18)
                     /locus_tag="a"
                     /transl_table=11
     CDS             join(55..60,1..3)
                     /locus_tag="b"
                     /transl_table=11
     CDS             <20..31
                     /locus_tag="c"
                     /transl_table=11
     CDS             join(32..34,40..45)
                     /locus_tag="d"
                     /transl_table=11
     CDS             46..54
                     /locus_tag="e"
                     /pseudo
ORIGIN
        1 aaattaccag ggtttcataa aaaaaaaaaa aaaaaaaaaa aaaaaaaaaa aaaaatgaaa
//
"""


def test_genbank_with_all_kinds_of_genes(tmp_path):
    (tmp_path / "a.gbk").write_text(GENBANK)
    (contig,) = Genomes([tmp_path / "a.gbk"])
    assert contig.circular
    assert contig.code == 11
    assert contig.genes == [
        Gene(3, 18, -1, "a"),
        Gene(54, 63, 1, "b"),
        Gene(19, 31, 1, "c", False, True),
        Gene(31, 45, 1, "d", False, True),
        Gene(45, 54, 1, "e", True),
    ]
    assert decoded(contig.gene_bases(contig.genes[1])) == "ATGAAAAAA"


def test_genetic_codes():
    standard, mycoplasma = genetic_code(11), genetic_code(4)
    tga = int(codons(encoded("TGA"))[0])
    assert standard.stops[tga]
    assert not mycoplasma.stops[tga]
    assert standard.translated(encoded("GTGAAATGGTAA")) == "MKW"
    assert mycoplasma.translated(encoded("ATGTGATAA")) == "MW"
    assert standard.translated(encoded("ATGANATAA")) == "MX"
    with pytest.raises(ConfigError, match="no genetic code 99"):
        genetic_code(99)


def test_genes_as_files():
    forward = encoded("CC" + GENE + "CC")
    contig = Contig("c 1", np.concatenate([forward, reverse_complement(forward)]), circular=True)
    genes = [Called(Gene(2, 17, 1), 5.0, 0.99), Called(Gene(21, 36, -1), 4.0, 0.98)]
    lines = [*HEAD, *gff3(contig, genes, 11)]
    assert lines[0] == "##gff-version 3"
    assert lines[1] == "##sequence-region c%201 1 38"
    assert lines[3].split("\t")[:8] == ["c%201", "unspool", "CDS", "3", "17", "5.00", "+", "0"]
    assert "transl_table=11" in lines[4]
    assert list(proteins(contig, genes, 11))[1::2] == ["MKPW", "MKPW"]
    assert list(nucleotides(contig, genes))[1::2] == [GENE, GENE]
    assert list(bedgraph(contig, np.array([0.1, 0.1, 0.9, 0.9, 0.2]), 9)) == [
        "c 1\t0\t18\t0.10",
        "c 1\t18\t36\t0.90",
        "c 1\t36\t38\t0.20",
    ]


@pytest.mark.data
def test_real_genomes_are_read(real_data):
    counts = Genomes([real_data / "dna/phage/yersinia_phage"], annotated=True)
    assert sum(len(c) for c in counts) == 126022
    assert counts.counts["genes"] == 195
