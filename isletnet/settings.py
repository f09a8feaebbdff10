"""Settings of this installation: the only reader of the environment.

Doors (command line, service, notebooks) read them once and pass values on; the library itself takes arguments.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
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

    store: str = Field(
        default="isletnet-store",
        min_length=1,
        description="Where the service keeps everything: a folder, or s3://bucket/prefix.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the API and the pages listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port of the API.")
    pages_port: int = Field(default=8080, ge=1, le=65535, description="Port of the pages.")
    pages_origin: str = Field(
        default="",
        description="Origin of the pages, such as https://islets.clinic.example. Empty: the pages' port on this host.",
    )
    trusted_proxy: str = Field(
        default="",
        description="Address of the proxy whose identity header is believed. Empty: no such header is believed.",
    )
    identity_header: str = Field(default="X-Forwarded-User", min_length=1, description="Header with who signed in.")
    serve_config: str = Field(
        default="", description="File of replicas and resources. Empty: serve/serve.yaml of the checkout."
    )
    network_memory_mb: int = Field(
        default=2_000, ge=100, description="Memory for loaded networks; the least recently used one leaves first."
    )
    max_upload_mb: int = Field(default=500, ge=1, description="Largest file that is taken.")
    max_request_mb: int = Field(default=20_000, ge=1, description="Largest request, all its files together.")
    max_images: int = Field(default=400, ge=1, le=1000, description="Most images of one request.")
    max_open_requests: int = Field(
        default=1_000, ge=1, description="Most requests that wait; more are told to come later."
    )
    max_parallel_uploads_mb: int = Field(
        default=1_000, ge=1, description="Bytes on their way through one Ingress at once; more are told to come later."
    )
    max_calls_per_minute: int = Field(
        default=1_200, ge=1, description="Calls of one key or address in a minute, to each process that answers."
    )
    images_days: float = Field(default=30.0, gt=0, description="Days that images are kept after their request ended.")
    results_days: float = Field(default=30.0, gt=0, description="Days that results are kept after their request ended.")
    drafts_days: float = Field(default=1.0, gt=0, description="Days that a request may wait to be submitted.")
    prune_hours: float = Field(default=1.0, gt=0, description="Hours between two prunings.")
    space_warning_fraction: float = Field(
        default=0.80, gt=0, le=1, description="Share of the disk from which on the status warns."
    )
    space_limit_fraction: float = Field(
        default=0.95, gt=0, le=1, description="Share of the disk from which on new images are refused."
    )
    smtp_host: str = Field(default="", description="Server that sends mails. Empty: none are sent.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How it is spoken to.")
    smtp_username: str = Field(default="", description="Name to sign in with. Empty: without.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="Password to sign in with.")
    mail_sender: str = Field(default="", description="Address that mails come from; needed with smtp_host.")
    result_link: str = Field(
        default="",
        description="Address of a request's page in mails, with {request_id} in it. Empty: the page on this host.",
    )
    alert_to: str = Field(
        default="",
        description="Address that is told when a part of the service breaks; needs smtp_host. Empty: nobody.",
    )
    alert_minutes: float = Field(
        default=5.0, gt=0, description="Minutes between two looks at the parts; two in a row that agree are told."
    )
