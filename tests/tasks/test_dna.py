import json

import gffutils
import numpy as np
import pytest
import torch

import unspool
from unspool.codecs.bases import Contig, Gene, decoded, encoded, reverse_complement
from unspool.codecs.genetic import codons, genetic_code
from unspool.codecs.genomes import Genomes
from unspool.errors import ConfigError, DataError
from unspool.insight.report import inspect
from unspool.models.strands import STEP
from unspool.tasks import dna_reading
from unspool.tasks.dna_labels import labels
from unspool.tasks.dna_reading import code_of
from unspool.tasks.dna_recode import recoded
from unspool.tasks.dna_simulated import genome, write
from unspool.tasks.dna_windows import WINDOW, Store, Windows

pytest.importorskip("Bio")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dna")
    write(folder / "train", "train", 150_000, 1)
    write(folder / "test", "test", 40_000, 2)
    return folder


@pytest.fixture(scope="module")
def model(desk):
    torch.manual_seed(0)
    options = {"hidden": 24, "embedding": 24, "layers": 1, "batch": 2, "learning_rate": 1e-2, "progress": "silent"}
    return unspool.train("dna", desk / "train", desk / "model", epochs=12, **options)


def test_a_short_training_beats_the_longest_frames(model, desk):
    found = model.evaluate([desk / "test"])
    for name in ("stop F1", "both ends F1", "base F1"):
        assert found[name] > found["baselines"][f"longest open frames, {name}"]
    assert set(found["genetic codes"].values()) == {"11"}
    assert found["read"]["genes"] == found["genes"]


def test_the_other_strand_has_the_mirrored_genes(model, desk):
    (contig,) = Genomes([desk / "test"])
    other = Contig("other", reverse_complement(contig.bases))
    (here,) = model.annotate([contig])
    (there,) = model.annotate([other])
    mirrored = [(len(contig) - c.gene.stop, len(contig) - c.gene.start, -c.gene.strand) for c in there.genes]
    assert sorted(mirrored) == sorted((c.gene.start, c.gene.stop, c.gene.strand) for c in here.genes)
    assert len(here.genes) > 20


def test_what_is_unknown_hides_no_gene_elsewhere(model, desk):
    (contig,) = Genomes([desk / "test"])
    nothing = np.full(len(contig), 4, np.uint8)
    (plain,) = model.annotate([contig])
    (behind,) = model.annotate([Contig("behind", np.concatenate([nothing, contig.bases]))])
    for strand in (1, -1):
        stops = {c.gene.stop + len(contig) for c in plain.genes if c.gene.strand == strand}
        same = stops & {c.gene.stop for c in behind.genes if c.gene.strand == strand}
        assert len(same) >= 0.8 * len(stops) > 5


def test_no_answer_depends_on_where_a_window_ended(model, desk, monkeypatch):
    (contig,) = Genomes([desk / "test"])
    monkeypatch.setattr(dna_reading, "PIECE", 60_003)
    whole = dna_reading.read_contig(model.model, contig.bases)
    (once,) = model.annotate([contig])
    monkeypatch.setattr(dna_reading, "PIECE", 4500)
    pieces = dna_reading.read_contig(model.model, contig.bases)
    (again,) = model.annotate([contig])
    np.testing.assert_allclose(np.exp(pieces.classes), np.exp(whole.classes), atol=2e-3)
    assert [c.gene for c in again.genes] == [c.gene for c in once.genes]


def test_every_gene_is_legal_and_has_a_probability(model, desk):
    (contig,) = Genomes([desk / "test"])
    (found,) = model.annotate([contig])
    code = genetic_code(11)
    for called in found.genes:
        gene = called.gene
        assert 0 <= called.probability <= 1
        own = contig.bases[gene.start : gene.stop]
        own = own if gene.strand > 0 else reverse_complement(own)
        codon = codons(own)[::3]
        assert not code.stops[codon[:-1]].any()
        assert gene.partial or (code.starts[codon[0]] and code.stops[codon[-1]] and len(own) % 3 == 0)


def test_genes_go_over_the_origin_of_a_circle(model, desk):
    (contig,) = Genomes([desk / "test"])
    (whole,) = model.annotate([contig])
    gene = max((c.gene for c in whole.genes if 10_000 < c.gene.start < 30_000), key=lambda g: g.stop - g.start)
    cut = (gene.start + gene.stop) // 2
    turned = Contig("circle", np.concatenate([contig.bases[cut:], contig.bases[:cut]]), circular=True)
    (found,) = model.annotate([turned])
    over = [c.gene for c in found.genes if c.gene.stop > len(contig)]
    assert len(over) == 1
    assert over[0].strand == gene.strand
    end = over[0].stop - len(contig) if gene.strand > 0 else over[0].start - len(contig)
    assert end == (gene.stop if gene.strand > 0 else gene.start) - cut
    assert all(0 <= c.gene.start < len(contig) for c in found.genes)


def test_a_gene_at_the_end_of_a_contig_is_partial(model, desk):
    (contig,) = Genomes([desk / "test"])
    (whole,) = model.annotate([contig])
    longest = sorted((c.gene for c in whole.genes), key=lambda g: g.start - g.stop)[:6]
    cut = 0
    for gene in longest:
        part = Contig("part", contig.bases[(gene.start + gene.stop) // 2 :])
        first = min(next(model.annotate([part])).genes, key=lambda c: c.gene.start).gene
        cut += first.partial and first.start < 3
    assert cut >= 4


def test_odd_contigs_have_an_answer(model):
    for text in ("A", "ACGT", "N" * 500, "ACGT" * 100, "ATG" + "N" * 4000 + "TAA"):
        from unspool.codecs.bases import encoded

        (found,) = model.annotate([Contig("x", encoded(text))])
        assert all(c.gene.stop <= len(text) for c in found.genes)
        assert "N" not in text or not found.genes  # where nothing is known there is no gene


def test_the_genetic_code_is_told_by_its_codons():
    assert code_of(np.array([0, 120, 0, 10_000])) == 11
    assert code_of(np.array([3, 120, 2, 10_000])) == 11
    assert code_of(np.array([90, 10, 1, 10_000])) == 4
    assert code_of(np.array([200, 110, 1, 10_000])) == 25
    assert code_of(np.zeros(4, int)) == 11


def test_a_code_that_is_given_is_used(model, desk):
    found = next(iter(model.predict([desk / "test"], code=4)))
    assert found.code == 4
    with pytest.raises(ConfigError, match="no genetic code 99"):
        model.predict([desk / "test"], code=99)


@pytest.mark.parametrize("tga", [False, True])
def test_recoded_genes_have_the_same_proteins(tga):
    bases, genes = genome(20_000, 4)
    contig = Contig("a", bases, [Gene(*g) for g in genes])
    classes = labels(contig)
    new = recoded(bases, classes, np.random.default_rng(0), tilt=-1.0, tga=tga)
    code = genetic_code(4 if tga else 11)
    overlapped = classes == -1
    same = 0
    for gene in contig.genes:
        if overlapped[gene.start : gene.stop].any():
            continue
        old, now = (
            x[gene.start : gene.stop] if gene.strand > 0 else reverse_complement(x[gene.start : gene.stop]) for x in (bases, new)
        )
        assert code.translated(now) == genetic_code(11).translated(old)
        assert code.stops[codons(now)[-1]]
        same += 1
    assert same > 10
    assert np.isin(new, (1, 2)).mean() < np.isin(bases, (1, 2)).mean() - 0.05
    assert ("TGA" in decoded(new)) or not tga


def test_windows_know_their_frames(tmp_path):
    bases, genes = genome(40_000, 7)
    contig = Contig("a", bases, [Gene(*g) for g in genes])
    store = Store(tmp_path, "x")
    store.add(contig, 0, len(contig))
    store.add(contig, 3000, 12_000)
    own, classes, begins = store.read(1, 100, 2100)
    np.testing.assert_array_equal(own, bases[3100:5100])
    inside = [g for g in contig.genes if g.start >= 3100 and g.stop <= 5100 and g.strand > 0]
    for gene in inside:
        kinds = classes[gene.start - 3100 : gene.stop - 3100]
        assert set(kinds.tolist()) <= {1 + (gene.start - 3100) % 3, -1}
        assert begins[gene.start - 3100, 0] == 1
    feed = Windows(store, 2)
    batches = list(feed.epoch(0))
    assert all(b.bases.shape[1] % 9 == 0 and b.bases.shape[1] <= WINDOW for b in batches)
    short = Store(tmp_path, "short")
    short.add(contig, 0, 2700)
    for number in (-1, 0, 1):
        assert [b.bases.shape for b in Windows(short, 2).epoch(number)] == [(1, 2700)]
    again = list(feed.epoch(0, 1))
    assert len(again) == len(batches) - 1
    assert torch.equal(again[0].bases, batches[1].bases)


def test_the_command_line(model, desk, tmp_path, run):
    fasta = desk / "test" / "test.fa"
    done = run(
        "predict",
        model.folder.path,
        fasta,
        "-o",
        "g.gff3",
        "--proteins",
        "p.faa",
        "--genes",
        "g.fna",
        "--track",
        "t.bedgraph",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "g.gff3").read_text().splitlines()
    assert lines[0] == "##gff-version 3"
    starts = [int(line.split("\t")[3]) for line in lines if "\tCDS\t" in line]
    assert starts == sorted(starts)
    assert (tmp_path / "p.faa").read_text().count(">") == (tmp_path / "g.fna").read_text().count(">") == len(starts)
    assert (tmp_path / "t.bedgraph").read_text().startswith("test\t0\t")
    done = run("predict", model.folder.path, fasta, "--json", cwd=tmp_path)
    assert len(json.loads(done.stdout)["genes"]) == len(starts)
    (tmp_path / "protein.fa").write_text(">p\nMKLV\n")
    for arguments, message in [
        (("predict", model.folder.path, "protein.fa"), "this looks like proteins"),
        (("predict", model.folder.path, "gone.fa"), "there is no file or folder gone.fa"),
        (("predict", model.folder.path, fasta, "--beams", "3"), "predict with a dna model has no option 'beams'"),
        (("train", "dna", "protein.fa", "-o", "m"), "comes without genes"),
    ]:
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


@pytest.mark.parametrize("known", [0, 2])
def test_a_model_without_weights_of_habits_finds_genes(model, desk, known):
    (contig,) = Genomes([desk / "test"])
    less = unspool.load(model.folder.path)
    stored = {**model.metrics, "weights": model.metrics["weights"][:known]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(less), "metrics", stored)
        less = unspool.load(model.folder.path)
    (found,) = less.annotate([contig])
    assert len(found.genes) > 20


def test_what_cannot_be_read_is_said_and_the_other_contigs_follow(model, desk, tmp_path, run):
    good = (desk / "test" / "test.fa").read_text()
    (tmp_path / "a.fa").write_text(">rna\nACGU\n" + good + ">empty\n")
    (tmp_path / "a.gff3").write_text("nonsense\n")  # an annotation is not looked at
    done = run("predict", model.folder.path, "a.fa", "-o", "g.gff3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "genes of 1 contigs are in g.gff3\nleft out: a.fa, record rna, line 2: 'U' is no base; this is RNA" in done.stdout
    assert "# left out: a.fa, line" in (tmp_path / "g.gff3").read_text()
    done = run("predict", model.folder.path, "a.fa", "--json", cwd=tmp_path)
    assert [next(iter(json.loads(line))) for line in done.stdout.splitlines()] == ["contig", "error", "error"]


def test_another_library_reads_the_gff3(model, desk, tmp_path):
    found = list(model.predict([desk / "test"]))
    model.deliver(iter(found), tmp_path / "g.gff3")
    features = list(gffutils.create_db(str(tmp_path / "g.gff3"), ":memory:").features_of_type("CDS"))
    read = [(f.seqid, f.start - 1, f.end, f.strand, f.frame, f.attributes["transl_table"]) for f in features]
    genes = [c.gene for c in found[0].genes]
    assert read == [("test", g.start, g.stop, "+" if g.strand > 0 else "-", "0", ["11"]) for g in genes]


def test_too_few_genes_are_refused(tmp_path):
    write(tmp_path / "few", "few", 3000, 1)
    with pytest.raises(DataError, match=r"there are only \d+ genes to learn from"):
        unspool.train("dna", tmp_path / "few", tmp_path / "model", epochs=1, progress="silent")


def test_a_picture_of_a_region(model, desk, tmp_path):
    found = list(model.predict([desk / "test"]))
    message = model.deliver(iter(found), tmp_path / "r.png", region="test:5000-15000")
    assert "genes of test are drawn in" in message
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    for region, error, text in [
        ("test", ConfigError, "a region is NAME:FIRST-LAST"),
        ("x:1-9", DataError, "there is no contig 'x'"),
    ]:
        with pytest.raises(error, match=text):
            model.deliver(iter(found), tmp_path / "r.png", region=region)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Windows of 40 bases whose middle may hold one of two motifs."""
    folder = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(300):
        bases = rng.integers(0, 4, 40)
        label = ("none", "give", "take")[number % 3]
        if label != "none":
            bases[18:23] = [2, 3, 0, 0, 2] if label == "give" else [3, 3, 3, 0, 2]
        rows.append(f"{label},{decoded(bases.astype(np.uint8))},g{number // 2}")
    for name, part in (("train.csv", rows[:240]), ("test.csv", rows[240:])):
        (folder / name).write_text("label,sequence,group\n" + "\n".join(part) + "\n")
    return folder


def test_labelled_windows(windows, tmp_path):
    model = unspool.train("dna", windows / "train.csv", tmp_path / "m", epochs=25, learning_rate=1e-2, hidden=16, progress="silent")
    found = model.evaluate([windows / "test.csv"])
    assert found["accuracy"] > 0.85 > found["baselines"]["majority, accuracy"]
    assert found["examples"] == 60
    answers = model.predict([windows / "test.csv"])
    assert sum(answers[0].probabilities.values()) == pytest.approx(1)
    assert "60 classes are in" in model.deliver(answers, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "place,label,give,none,take"
    assert len(model.deliver(answers, as_json=True).splitlines()) == 60


def test_windows_that_do_not_fit_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("label,sequence\nx,ACGT\ny,ACZT\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3: 'Z' is no base"):
        unspool.train("dna", tmp_path / "a.csv", tmp_path / "m", epochs=1, progress="silent")
    (tmp_path / "b.csv").write_text("label,other\nx,ACGT\n")
    with pytest.raises(DataError, match="which column holds the sequence"):
        unspool.train("dna", tmp_path / "b.csv", tmp_path / "m", epochs=1, progress="silent")
    (tmp_path / "c.csv").write_text("label,sequence\nx,ACGT\nx,ACGA\n")
    with pytest.raises(DataError, match="2 windows of 1 classes are too few"):
        unspool.train("dna", tmp_path / "c.csv", tmp_path / "m", epochs=1, progress="silent")


def test_inspecting_the_surest_step(model, desk):
    opened = model.opened(desk / "test" / "test.fa", most=60)
    assert len(opened.symbols) == opened.x.shape[1] == 60
    assert {len(s) for s in opened.symbols} == {STEP}
    bases = encoded("".join(opened.symbols))
    log_p = model.model(torch.from_numpy(bases)[None])[0][0].log_softmax(1)
    assert opened.at == int(log_p[:, 0].argmin())
    assert opened.answer(opened.x).item() == pytest.approx(log_p[opened.at, 1:].max().item(), abs=1e-4)
    assert f"{opened.at * STEP + 1}-" in opened.said
    found = inspect(opened)
    assert len(found["gradient"]["norm by distance"]["layer 1 forward, a"]) == opened.at + 1
    assert found["attribution"]["left out"][opened.at] != 0
    assert model.opened("ACGTACGTACGTnACGTA").symbols == ["ACGTACGTA", "CGTNACGTA"]
    for bad in ("ACGT", "gone.fna", "hello there, world"):
        with pytest.raises(DataError, match="is no file, nor a text of at least 9 bases"):
            model.opened(bad)
