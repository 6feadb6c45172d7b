"""Drawing tunes from the composer: several drafts at once, with a key-value cache, under the grammar.

A token is drawn by nucleus sampling (Holtzman et al., "The curious case of neural text degeneration", 2020)
from the tokens that the grammar allows. Every draft has a random generator of its own, derived from the seed
and its number.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from .composer import Cache, Composer
from .tokens import END, PAD, TOKEN_ID, Grammar

TEMPERATURE = 0.92
TOP_P = 0.95
# A planned tune cannot get longer: 1/32 notes with a length token each in every bar of the longest plan.
MAX_TOKENS = 6_000


def choose(logits: NDArray[np.float64], allowed: NDArray[np.bool_], random: np.random.Generator) -> int:
    """Draw one token id: softmax at TEMPERATURE over what is allowed, cut to the most likely TOP_P of it."""
    scores = np.where(allowed, logits / TEMPERATURE, -np.inf)
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    order = np.argsort(-weights, kind="stable")
    cumulative = np.cumsum(weights[order])
    kept = order[: int(np.searchsorted(cumulative, TOP_P)) + 1]
    shares = np.cumsum(weights[kept])
    return int(kept[min(int(np.searchsorted(shares, random.random() * shares[-1])), len(kept) - 1)])


def draw_tunes(
    model: Composer,
    opening: list[int],
    *,
    plan: tuple[int, ...],
    seed: tuple[int, ...],
    drafts: int,
    progress: Callable[[float], None],
) -> list[list[int]]:
    """Complete token sequences that begin with `opening` and fill `plan` (bars of each section).

    progress is called with the share of the plan's bars that the first draft has reached; it may raise to
    stop.
    """
    grammars = [Grammar(plan=plan) for _ in range(drafts)]
    randoms = [np.random.default_rng((*seed, number)) for number in range(drafts)]
    sequences = [list(opening) for _ in range(drafts)]
    cache: Cache | None = None
    for grammar in grammars[1:]:
        for token in opening:
            grammar.push(token)
    contexts = []
    for token in opening:
        grammars[0].push(token)
        contexts.append(grammars[0].context)
    with torch.inference_mode():
        tokens = torch.tensor([opening] * drafts)
        logits, cache = model(tokens, torch.tensor([contexts] * drafts))
        for step in range(MAX_TOKENS):
            rows = logits[:, -1].double().numpy()
            following = []
            for grammar, sequence, random, row in zip(grammars, sequences, randoms, rows, strict=True):
                token = TOKEN_ID[PAD]
                if grammar.place != "done":
                    token = choose(row, grammar.allowed(), random)
                    grammar.push(token)
                    sequence.append(token)
                following.append(token)
            if all(grammar.place == "done" for grammar in grammars):
                break
            if step % 8 == 0:
                first = grammars[0]
                reached = sum(plan[: first.section]) + first.bar_number
                progress(min(1.0, reached / sum(plan)))
            positions = torch.tensor([[grammar.context] for grammar in grammars])
            logits, cache = model(torch.tensor(following)[:, None], positions, cache)
    return [sequence for sequence in sequences if sequence[-1] == TOKEN_ID[END]]
