"""Structure of proteins and splice sites of genes from FASTA files, one tag a letter; needs gatework[biology]."""

from __future__ import annotations

import random
from pathlib import Path

from gatework import SequenceTagger

Record = tuple[str, str]  # letters, and a tag for each

# Residues that helices (H), strands (E) and loops (C) hold more often than others, as Chou & Fasman (1978) counted.
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
LIKED = {"H": "AELMQKR", "E": "VIYFWT", "C": "GNPSD"}
LENGTHS = {"H": (7, 16), "E": (4, 8), "C": (3, 9)}


def protein(draw: random.Random) -> Record:
    """Helices and strands with loops between them. A residue tells little, its neighbours together more."""
    letters, tags = "", ""
    while len(tags) < 90:
        state = draw.choice("HE") if tags[-1:] in ("", "C") else "C"
        length = draw.randint(*LENGTHS[state])
        letters += "".join(draw.choice(LIKED[state] if draw.random() < 0.5 else RESIDUES) for _ in range(length))
        tags += state * length
    return letters, tags


def gene(draw: random.Random) -> Record:
    """Exons (x) and introns (i). An intron begins with GT and ends with C and T, then AG; in exons both occur too."""
    letters, tags = "", ""
    for number in range(5):
        exon = "".join(draw.choice("ACGT") for _ in range(draw.randint(20, 45)))
        letters, tags = letters + exon, tags + "x" * len(exon)
        if number < 4:
            inside = "".join(draw.choice("AACGTTT") for _ in range(draw.randint(20, 50)))
            intron = draw.choice(["GTAAGT", "GTGAGT"]) + inside + "".join(draw.choice("CT") for _ in range(10)) + "CAG"
            letters, tags = letters + intron, tags + "i" * len(intron)
    return letters, tags


def written(name: str, records: list[Record]) -> tuple[Path, Path]:
    """A FASTA pair: records of the same names, one file of letters, one of tags."""
    files = Path(f"{name}.fasta"), Path(f"{name}_tags.fasta")
    for part, path in enumerate(files):
        path.write_text("".join(f">{name}{i}\n{record[part]}\n" for i, record in enumerate(records)))
    return files


draw = random.Random(0)
for name, make, count in (("protein", protein, 220), ("gene", gene, 160)):
    letters, tags = written(name, [make(draw) for _ in range(count)])
    model = SequenceTagger(tags=str(tags), epochs=8, batch_size=8, hidden_size=32, learning_rate=0.01).fit(letters)
    print(f"{name}: {model.trained_.run.results()['verdict']}")
    new, truth = make(draw)
    (answer,) = model.predict([list(new)])
    for what, line in (("letters", new), ("truth", truth), ("answer", "".join(answer))):
        print(f"  {what:8}{line[:100]}")
