"""The attacks of our own robustness table, in families, easiest first."""

from benchmarks.attack import Attack, AttackList, Effect
from benchmarks.attacks_channel import (
    add_noise,
    clip_peaks,
    echo,
    gain,
    loudspeaker,
    lowpass,
    mix_channels,
    mix_song,
    quantise,
    reverberate,
    splice_song,
    talk_over,
)
from benchmarks.attacks_codec import resample, telephone, transcode
from benchmarks.attacks_resynthesis import PROXIES, RESYNTHESIS
from benchmarks.attacks_timing import (
    drift,
    excerpt,
    ffmpeg,
    remove_pieces,
    remove_regularly,
    reverse_sections,
    rubberband,
    sox,
    wow,
)

FAMILIES = {
    "plain": "level, resampling, channels, 8 bit, clipping, dynamics, EQ",
    "codec": "codecs at ordinary rates, twice transcoded",
    "harsh codec": "codecs at low rates, telephone, low-pass 4 kHz",
    "desync": "speed, tempo, pitch",
    "desync + mp3": "speed, tempo, pitch, each then MP3 128",
    "noise, room": "noise at 20 dB, reverberation, re-recording, echo, wow",
    "mix": "voice-over and other song at equal level, noise at 10 dB",
    "cut": "pieces removed, spliced with other music, sections reordered",
    "chain": "social media chain, public removal chain",
    **RESYNTHESIS,
}

EQ = (
    "bass=gain=6:frequency=150,equalizer=f=1000:width_type=o:width=1.5:gain=-6,"
    "equalizer=f=4000:width_type=o:width=1.5:gain=6,treble=gain=-6:frequency=9000"
)
COMPRESSOR = "acompressor=threshold=0.0625:ratio=8:attack=5:release=100:makeup=3"  # threshold -24 dB
LIMITER = "volume=9dB,alimiter=limit=0.9:attack=5:release=50:level=false"
MP3_128 = transcode("mp3", kbit=128)
SEMITONE = 2 ** (1 / 12)


def play_faster(percent: float) -> Effect:
    """Speed by ffmpeg: another sample rate is claimed and the result resampled."""
    return ffmpeg(f"asetrate={{rate}}*{1 + percent / 100:.6f},aresample={{rate}}")


TIMING: dict[str, Effect] = {
    "speed +1 %": sox("speed", "1.01"),
    "speed -2 %": sox("speed", "0.98"),
    "speed +5 %": play_faster(5),
    "speed -10 %": sox("speed", "0.9"),
    "speed +25 %": sox("speed", "1.25"),
    "speed -25 %": play_faster(-25),
    "tempo +1 % (rubberband)": rubberband("--tempo", "1.01"),
    "tempo -2 % (sox)": sox("tempo", "-m", "0.98"),
    "tempo +5 % (ffmpeg)": ffmpeg("atempo=1.05"),
    "tempo -10 % (rubberband)": rubberband("--tempo", "0.9"),
    "tempo +10 % (sox)": sox("tempo", "-m", "1.1"),
    "tempo +20 % (rubberband)": rubberband("--fine", "--tempo", "1.2"),
    "tempo -20 % (ffmpeg)": ffmpeg("atempo=0.8"),
    "pitch +0.5 (rubberband)": rubberband("--pitch", "0.5"),
    "pitch -1 (sox)": sox("pitch", "-100"),
    "pitch +1 (ffmpeg)": ffmpeg(
        f"asetrate={{rate}}*{SEMITONE:.6f},aresample={{rate}},atempo={1 / SEMITONE:.6f}"
    ),
    "pitch +2 (rubberband)": rubberband("--fine", "--pitch", "2"),
    "pitch -2 (sox)": sox("pitch", "-200"),
    "pitch +3 (rubberband)": rubberband("--pitch", "3"),
    "pitch -3 (rubberband)": rubberband("--fine", "--pitch", "-3"),
}

ATTACKS: tuple[Attack, ...] = (
    Attack("none", "plain", ()),
    Attack("gain -20 dB", "plain", (gain(-20),)),
    Attack("resample 22 kHz", "plain", (resample(22_050),)),
    Attack("resample 16 kHz", "plain", (resample(16_000),)),
    Attack("resample 48 kHz", "plain", (resample(48_000),)),
    Attack("mono", "plain", (mix_channels((0.5, 0.5)),)),
    Attack("left only", "plain", (mix_channels((1, 0)),)),
    Attack("side only", "plain", (mix_channels((0.5, -0.5)),)),
    Attack("inverted", "plain", (gain(0), mix_channels((-1, 0), (0, -1)))),
    Attack("8 bit", "plain", (quantise(8),)),
    Attack("clipped 6 dB", "plain", (clip_peaks(6),)),
    Attack("compressor 8:1", "plain", (ffmpeg(COMPRESSOR),)),
    Attack("limiter 9 dB", "plain", (ffmpeg(LIMITER),)),
    Attack("equaliser 6 dB", "plain", (ffmpeg(EQ),)),
    Attack("mp3 128", "codec", (MP3_128,)),
    Attack("mp3 64", "codec", (transcode("mp3", kbit=64),)),
    Attack("aac 96", "codec", (transcode("aac", kbit=96),)),
    Attack("aac 64", "codec", (transcode("aac", kbit=64),)),
    Attack("opus 64", "codec", (transcode("opus", kbit=64),)),
    Attack("opus 32", "codec", (transcode("opus", kbit=32),)),
    Attack("vorbis q3", "codec", (transcode("vorbis", quality=3),)),
    Attack("mp3 128, aac 96", "codec", (MP3_128, transcode("aac", kbit=96))),
    Attack("opus 24", "harsh codec", (transcode("opus", kbit=24),)),
    Attack("aac 48", "harsh codec", (transcode("aac", kbit=48),)),
    Attack("mp3 48", "harsh codec", (transcode("mp3", kbit=48),)),
    Attack("telephone", "harsh codec", (telephone,)),
    Attack("low-pass 4 kHz", "harsh codec", (lowpass(4000),)),
    *(Attack(name, "desync", (effect,)) for name, effect in TIMING.items()),
    *(Attack(f"{name}, mp3 128", "desync + mp3", (effect, MP3_128)) for name, effect in TIMING.items()),
    Attack("white noise 20 dB", "noise, room", (add_noise(20),)),
    Attack("pink noise 20 dB", "noise, room", (add_noise(20, pink=True),)),
    Attack("reverberation 0.3 s", "noise, room", (reverberate(0.3, 3),)),
    Attack("reverberation 0.8 s", "noise, room", (reverberate(0.8, 0),)),
    Attack(
        "room recording",
        "noise, room",
        (loudspeaker, reverberate(0.5, -3), add_noise(25, pink=True), drift(80)),
    ),
    Attack("echo 120 ms", "noise, room", (echo(0.12, -6),)),
    Attack("wow 0.5 %", "noise, room", (wow(0.5),)),
    Attack("voice-over 0 dB", "mix", (talk_over(0),)),
    Attack("other song 0 dB", "mix", (mix_song(0),)),
    Attack("white noise 10 dB", "mix", (add_noise(10),)),
    Attack("pink noise 10 dB", "mix", (add_noise(10, pink=True),)),
    Attack("10 % removed in pieces", "cut", (remove_pieces(0.1),)),
    Attack("20 ms cut every second", "cut", (remove_regularly(0.02, every_s=1.0),)),
    Attack("half spliced", "cut", (splice_song(0.5),)),
    Attack("four sections reversed", "cut", (reverse_sections(4),)),
    Attack(
        "social media chain",
        "chain",
        (play_faster(8), excerpt(15), transcode("aac", kbit=64), ffmpeg(LIMITER)),
    ),
    Attack(
        "removal chain",
        "chain",
        (
            ffmpeg(f"asetrate={{rate}}*{SEMITONE:.6f},aresample={{rate}},atempo={1.06 / SEMITONE:.6f}"),
            ffmpeg(EQ),
            transcode("mp3", kbit=96),
        ),
    ),
    *PROXIES,
)

SHORT = (  # one or two of each family
    "none",
    "side only",
    "mp3 128",
    "aac 64",
    "opus 24",
    "speed -10 %",
    "tempo +10 % (sox)",
    "pitch -1 (sox), mp3 128",
    "white noise 20 dB",
    "voice-over 0 dB",
    "10 % removed in pieces",
    "removal chain",
    "opus 12",
)

TABLE = AttackList(
    name="table", source="this project's target table", families=FAMILIES, attacks=ATTACKS, short=SHORT
)
