"""Checkpoints of other people's models, made on the spot: real classes, random weights, a megabyte each."""

from pathlib import Path
from typing import Any

WORDS = "slow waltz fast jig piano in d minor calm verse"


def make_tokenizer() -> Any:
    """Return a tokenizer of a dozen words, as the libraries save one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    vocabulary.update({word: 3 + number for number, word in enumerate(WORDS.split())})
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=25,
    )


def save_musicgen(folder: Path, *, channels: int = 1) -> Path:
    """Save a MusicGen of 230,000 weights: 32 kHz, 50 frames a second, four codebooks a channel."""
    import torch
    from transformers import (
        EncodecConfig,
        EncodecFeatureExtractor,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        MusicgenProcessor,
        T5Config,
    )

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    text = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    codec = EncodecConfig(
        target_bandwidths=[1.2],
        sampling_rate=32_000,
        num_filters=4,
        hidden_size=16,
        codebook_size=64,
        codebook_dim=16,
        upsampling_ratios=[8, 5, 4, 4],
        num_lstm_layers=1,
    )
    decoder = MusicgenDecoderConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        ffn_dim=32,
        num_attention_heads=2,
        num_codebooks=4 * channels,
        audio_channels=channels,
        pad_token_id=64,
        bos_token_id=64,
    )
    model = MusicgenForConditionalGeneration(
        MusicgenConfig(text_encoder=text.to_dict(), audio_encoder=codec.to_dict(), decoder=decoder.to_dict())
    )
    for layer in model.audio_encoder.quantizer.layers:
        layer.codebook.embed.normal_()  # new ones are zero: every token would sound the same
    settings = model.generation_config
    settings.decoder_start_token_id = settings.pad_token_id = settings.bos_token_id = 64
    model.save_pretrained(folder)
    MusicgenProcessor(
        EncodecFeatureExtractor(feature_size=channels, sampling_rate=32_000), tokenizer
    ).save_pretrained(folder)
    return folder


def save_stable_audio(folder: Path) -> Path:
    """Save a Stable Audio pipeline of 16 kHz stereo, four seconds at most."""
    import diffusers
    import torch
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    pipeline = diffusers.StableAudioPipeline(
        transformer=diffusers.StableAudioDiTModel(
            sample_size=128,
            in_channels=3,
            num_layers=1,
            attention_head_dim=4,
            num_key_value_attention_heads=2,
            num_attention_heads=2,
            out_channels=3,
            cross_attention_dim=4,
            time_proj_dim=8,
            global_states_input_dim=8,
            cross_attention_input_dim=4,
        ),
        scheduler=diffusers.CosineDPMSolverMultistepScheduler(
            prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
        ),
        vae=diffusers.AutoencoderOobleck(
            encoder_hidden_size=4,
            downsampling_ratios=[10, 50],
            decoder_channels=3,
            decoder_input_channels=3,
            audio_channels=2,
            channel_multiples=[1, 2],
            sampling_rate=16_000,
        ),
        text_encoder=T5EncoderModel(
            T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        tokenizer=make_tokenizer(),
        projection_model=diffusers.StableAudioProjectionModel(
            text_encoder_dim=16, conditioning_dim=4, min_value=0, max_value=32
        ),
    )
    pipeline.save_pretrained(folder)
    return folder


def save_ace_step(folder: Path) -> Path:
    """Save an ACE-Step pipeline of 48 kHz stereo."""
    import diffusers
    import torch
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    attention = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16}
    pipeline = diffusers.AceStepPipeline(
        transformer=diffusers.AceStepTransformer1DModel(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            in_channels=24,
            audio_acoustic_hidden_dim=8,
            patch_size=2,
            **attention,
        ),
        condition_encoder=AceStepConditionEncoder(
            hidden_size=32,
            intermediate_size=32,
            text_hidden_dim=16,
            timbre_hidden_dim=8,
            num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
            **attention,
        ),
        vae=diffusers.AutoencoderOobleck(
            encoder_hidden_size=4,
            downsampling_ratios=[20, 50],
            decoder_channels=3,
            decoder_input_channels=8,
            audio_channels=2,
            channel_multiples=[1, 2],
            sampling_rate=48_000,
        ),
        text_encoder=Qwen3Model(
            Qwen3Config(
                vocab_size=32,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                max_position_embeddings=256,
                pad_token_id=0,
                eos_token_id=1,
                bos_token_id=None,
            )
        ),
        tokenizer=make_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
    pipeline.save_pretrained(folder)
    return folder
