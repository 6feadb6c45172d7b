"""How the weights were made. Run as modules, in this order; docs/generator.md gives the commands and the
data.

training.tunes -> training.composer         tunes of a public-domain corpus -> composer.safetensors,
tunes.safetensors training.notes -> training.timbre           notes rendered by a soundfont   ->
timbre.safetensors
"""
