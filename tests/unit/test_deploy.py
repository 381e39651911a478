"""The manifests under deploy/ are what Kubernetes and KEDA take, and name what there is.

The schema is the part of Kubernetes' API that the manifests use, as strict as the API server with
--validate=strict: unknown fields and wrong types are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import yaml

from ecgwatch.settings import PREFIX, Settings
from ingest.topics import PROCESSOR_GROUP, SAMPLES

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"


class Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A part of a manifest."""


class Metadata(Part):
    name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ConfigMap(Part):
    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata
    data: dict[str, str]


class Selector(Part):
    match_labels: dict[str, str]


class RollingUpdate(Part):
    max_surge: int
    max_unavailable: int


class Strategy(Part):
    type: Literal["RollingUpdate", "Recreate"]
    rolling_update: RollingUpdate


class Profile(Part):
    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]


class PodSecurity(Part):
    run_as_non_root: bool
    run_as_user: int
    seccomp_profile: Profile


class Capabilities(Part):
    drop: list[str]


class ContainerSecurity(Part):
    allow_privilege_escalation: bool
    read_only_root_filesystem: bool
    capabilities: Capabilities


class Named(Part):
    name: str


class EnvFrom(Part):
    config_map_ref: Named


class SecretKey(Part):
    name: str
    key: str


class ValueFrom(Part):
    secret_key_ref: SecretKey


class Env(Part):
    name: str
    value_from: ValueFrom


class Port(Part):
    name: str
    container_port: int


class Resources(Part):
    requests: dict[str, str]
    limits: dict[str, str]


class Mount(Part):
    name: str
    mount_path: str


class HttpGet(Part):
    path: str
    port: str


class Probe(Part):
    http_get: HttpGet
    period_seconds: int
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Container(Part):
    name: str
    image: str
    args: list[str]
    env_from: list[EnvFrom]
    env: list[Env]
    ports: list[Port]
    resources: Resources
    security_context: ContainerSecurity
    volume_mounts: list[Mount]
    startup_probe: Probe
    readiness_probe: Probe
    liveness_probe: Probe


class Volume(Part):
    name: str
    empty_dir: dict[str, str]


class PodSpec(Part):
    termination_grace_period_seconds: int
    automount_service_account_token: bool
    security_context: PodSecurity
    containers: list[Container]
    volumes: list[Volume]


class Template(Part):
    metadata: Metadata
    spec: PodSpec


class DeploymentSpec(Part):
    replicas: int
    selector: Selector
    strategy: Strategy
    template: Template


class Deployment(Part):
    api_version: Literal["apps/v1"]
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec


class BudgetSpec(Part):
    max_unavailable: int
    selector: Selector


class PodDisruptionBudget(Part):
    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    metadata: Metadata
    spec: BudgetSpec


class ScalingPolicy(Part):
    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: int


class ScalingRules(Part):
    stabilization_window_seconds: int
    policies: list[ScalingPolicy]


class Behavior(Part):
    scale_up: ScalingRules
    scale_down: ScalingRules


class AutoscalerConfig(Part):
    behavior: Behavior


class Advanced(Part):
    horizontal_pod_autoscaler_config: AutoscalerConfig


class KafkaTrigger(Part):
    """Metadata of KEDA's scaler for Kafka: all of it strings."""

    bootstrap_servers: str
    consumer_group: str
    topic: str
    lag_threshold: str
    offset_reset_policy: Literal["earliest", "latest"]
    allow_idle_consumers: Literal["true", "false"]


class Trigger(Part):
    type: Literal["kafka"]
    metadata: KafkaTrigger


class ScaledSpec(Part):
    scale_target_ref: Named
    min_replica_count: int
    max_replica_count: int
    polling_interval: int
    cooldown_period: int
    advanced: Advanced
    triggers: list[Trigger]


class ScaledObject(Part):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledSpec


KINDS = {kind.__name__: kind for kind in (ConfigMap, Deployment, PodDisruptionBudget, ScaledObject)}


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    """Every manifest by its kind, read by the schema."""
    documents = [
        document
        for path in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]
    return {d["kind"]: msgspec.convert(d, KINDS[d["kind"]]) for d in documents}


def test_all_kinds_are_there_and_obey_the_schema(manifests: dict[str, Any]) -> None:
    assert manifests.keys() == KINDS.keys()


def test_an_unknown_field_or_a_number_for_a_text_is_refused() -> None:
    good = {"bootstrapServers": "k:1", "consumerGroup": "g", "topic": "t", "lagThreshold": "5"}
    good |= {"offsetResetPolicy": "earliest", "allowIdleConsumers": "false"}
    assert msgspec.convert(good, KafkaTrigger).topic == "t"
    for bad in ({"lagThreshold": 5}, {"lag": "5"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | bad, KafkaTrigger)


def test_labels_agree_and_what_is_scaled_is_deployed(manifests: dict[str, Any]) -> None:
    spec = manifests["Deployment"].spec
    labels = spec.template.metadata.labels
    assert spec.selector.match_labels == labels
    assert manifests["PodDisruptionBudget"].spec.selector.match_labels == labels
    scaled = manifests["ScaledObject"].spec
    assert scaled.scale_target_ref.name == manifests["Deployment"].metadata.name
    assert scaled.min_replica_count == spec.replicas


def test_settings_exist_and_have_their_types(manifests: dict[str, Any]) -> None:
    (container,) = manifests["Deployment"].spec.template.spec.containers
    given = dict(manifests["ConfigMap"].data)
    given |= {env.name: "secret" for env in container.env}
    values = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    chosen = Settings.model_validate(values)
    assert chosen.metrics.endswith(f":{container.ports[0].container_port}")
    assert container.args == ["process", "--workers", "1"]


def test_it_scales_by_the_processors_lag_and_no_further_than_there_are_partitions(
    manifests: dict[str, Any],
) -> None:
    spec = manifests["ScaledObject"].spec
    (trigger,) = spec.triggers
    assert (trigger.metadata.consumer_group, trigger.metadata.topic) == (
        PROCESSOR_GROUP,
        SAMPLES.name,
    )
    data = manifests["ConfigMap"].data
    assert trigger.metadata.bootstrap_servers == data["ECGWATCH_BROKER"]
    assert spec.max_replica_count == int(data["ECGWATCH_PARTITIONS"])
