"""The request whose run the tests of faults damage: a method and evaluations that leave every kind of file."""

WORDS = {
    "plugins": "vae",
    "references": "none",
    "seeds": 1,
    "budget": "2 steps",
    "evaluations": "knn,reconstruction,representation,similarity",
}
