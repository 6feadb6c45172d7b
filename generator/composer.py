"""The composer: a decoder-only transformer over tune tokens.

Pre-norm blocks with rotary positions (Su et al., "RoFormer", 2021); besides the token, each position is told
its place in the bar, the bar's number and the section's number, all computed from the tokens before it
(tokens.Grammar.context).
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .tokens import BARS, PLACES, SECTIONS, VOCABULARY

# Per layer: keys and values of the positions so far, each (B, H, T, D).
Cache = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class ComposerConfig:
    """Size of the network. width must be a multiple of 2 * heads."""

    width: int = 192
    layers: int = 4
    heads: int = 6
    dropout: float = 0.1


def rotate(x: torch.Tensor, start: int) -> torch.Tensor:
    """Rotary position embedding of x (B, H, T, D) at positions start .. start + T - 1."""
    half = x.shape[-1] // 2
    frequency = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(start, start + x.shape[2], device=x.device, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each behind a layer norm and added to its input."""

    def __init__(self, config: ComposerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention_in = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.forward_norm = nn.LayerNorm(config.width)
        self.forward_in = nn.Linear(config.width, 4 * config.width)
        self.forward_out = nn.Linear(4 * config.width, config.width)

    def forward(
        self, x: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """x (B, T, width), earlier keys and values -> the same, extended."""
        B, T, width = x.shape
        parts = self.attention_in(self.attention_norm(x)).view(B, T, 3, self.heads, -1)  # (B, T, 3, H, D)
        query, memory, value = parts.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        start = past[0].shape[2] if past is not None else 0
        query, memory = rotate(query, start), rotate(memory, start)
        if past is not None:
            memory, value = torch.cat([past[0], memory], 2), torch.cat([past[1], value], 2)
        mixed = functional.scaled_dot_product_attention(
            query, memory, value, is_causal=past is None, dropout_p=self.dropout if self.training else 0.0
        )
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(B, T, width))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        inner = self.forward_out(functional.gelu(self.forward_in(self.forward_norm(x))))
        return x + functional.dropout(inner, self.dropout, self.training), (memory, value)


class Composer(nn.Module):
    """Token ids and contexts -> logits of the next token."""

    def __init__(self, config: ComposerConfig) -> None:
        super().__init__()
        self.config = config
        self.token = nn.Embedding(len(VOCABULARY), config.width)
        self.place = nn.Embedding(PLACES, config.width)
        self.bar = nn.Embedding(BARS, config.width)
        self.section = nn.Embedding(SECTIONS, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, len(VOCABULARY), bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(
        self, tokens: torch.Tensor, contexts: torch.Tensor, cache: Cache | None = None
    ) -> tuple[torch.Tensor, Cache]:
        """tokens (B, T) int64, contexts (B, T, 3) int64 -> logits (B, T, vocabulary) and the extended cache.

        With a cache T must be 1: causality then needs no mask.
        """
        assert cache is None or tokens.shape[1] == 1
        x = self.token(tokens) + self.place(contexts[..., 0]) + self.bar(contexts[..., 1])
        x = functional.dropout(x + self.section(contexts[..., 2]), self.config.dropout, self.training)
        extended: Cache = []
        for index, block in enumerate(self.blocks):
            x, pair = block(x, cache[index] if cache is not None else None)
            extended.append(pair)
        return self.head(self.norm(x)), extended
