"""Network policies, TLS and rules for images: what a user may set."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.shapes import Block, Flag, Labels, ObjectName, preserve


def _network_policy(value: Any) -> Any:
    return {"enabled": value} if isinstance(value, bool) else value


class NetworkPolicy(Block):
    """Who may reach the components."""

    enabled: Flag = Field(default=True, description="Whether NetworkPolicies are made; true when this block is given.")
    allow_from: Annotated[tuple[Labels, ...], Field(max_length=16)] = Field(
        default=(),
        description="Further pods of this namespace that may connect, by their labels.",
        examples=[[{"app": "shop"}]],
    )


class Tls(Block):
    """TLS between components."""

    enabled: Flag = Field(default=True, description="Whether it is on; true when this block is given.")
    secret_name: ObjectName | None = Field(default=None, description="Secret of type kubernetes.io/tls with ca.crt.")


class Security(Block):
    """Network policies, image rules."""

    network_policy: Annotated[NetworkPolicy, BeforeValidator(_network_policy), WithJsonSchema(preserve())] = Field(
        default=NetworkPolicy(enabled=False), description="true, false, or {enabled, allowFrom}."
    )
    tls: Annotated[Tls, BeforeValidator(_network_policy), WithJsonSchema(preserve())] = Field(
        default=Tls(enabled=False), description="true, false, or {enabled, secretName}."
    )
    require_digests: Flag = Field(default=False, description="Refuse images that are not given by digest.")
