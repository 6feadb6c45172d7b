"""Errors of the signal core.

WatermarkError            anything this package refuses because of outside data
└── AudioError            audio that cannot be worked on (shape, NaN, sample rate, too many channels)
"""


class WatermarkError(Exception):
    """Base of every error raised for bad outside data by `watermark`."""


class AudioError(WatermarkError):
    """Audio that cannot be worked on."""
