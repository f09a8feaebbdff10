"""Settings of this installation: the only reader of the environment.

Doors (command line, service, notebooks) read them once and pass values on; the library itself takes arguments.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Values from ``ISLETNET_*`` environment variables, checked once and frozen.

    An unknown value raises `pydantic.ValidationError`, which names the variable and what it may be.
    """

    model_config = SettingsConfigDict(env_prefix="ISLETNET_", frozen=True, extra="ignore")

    network: str = Field(
        default="islet-unet",
        min_length=1,
        description="Name of the network that answers where a caller names none.",
    )
    engine: Literal["auto", "tensorflow", "openvino"] = Field(
        default="auto",
        description="What runs the network. auto: the fastest that this machine has.",
    )
    precision: Literal["auto", "f32", "bf16"] = Field(
        default="auto",
        description="Arithmetic of the network. auto: bf16 where the chip has it and the network's card allows it.",
    )
    max_pixels: int = Field(
        default=150_000_000,
        ge=256,
        description="Largest picture that is decoded, in pixels. Checked in the header, before memory is taken.",
    )
    threads: int = Field(default=0, ge=0, description="Processor threads of the network. 0: all there are.")
