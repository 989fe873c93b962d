"""An arm whose step is a count, so that it starts at once: real blocks, real interleaving, no method."""

from harness.gate import blocks


def serve(dialogue: blocks.Dialogue) -> None:
    assert dialogue.next()["do"] == "build"
    dialogue.answer(title="counting", device="cpu", threads=1, batch=1)
    assert dialogue.next() == {"do": "work", "kind": "train"}
    dialogue.answer(kind="train")
    several = blocks.Blocks(dialogue, lambda: None)
    several.wait()
    while True:
        sum(range(2000))
        several.step_done()


if __name__ == "__main__":
    blocks.serve = serve
    blocks.main()
