"""How the weights were made. Run as modules, in this order; docs/generator.md gives the commands and the
data.

training.tunes -> training.composer: tunes of a public-domain corpus -> composer.safetensors and
tunes.safetensors
training.chorales: four-part chorales -> chords.safetensors
training.drums: drums rendered by a soundfont -> drums.safetensors
training.notes -> training.timbre: notes rendered by a soundfont -> timbre.safetensors
"""
