"""What is taken from the kubelet's messages, against protobuf's own encoder."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.attribution.kubelet import pods
from agentaflow_exporter.attribution.protobuf import ProtobufError, delimited
from agentaflow_exporter.collector import Pod
from tests.support.fake_kubelet import MESSAGES, Answer

UUID = "0000a100-5eed-4a6b-8c1d-0123456789ab"
IDS = ("0", "17", f"GPU-{UUID}", f"MIG-{UUID}::2", "nvidia3/gi1")
TEXTS = st.text(max_size=200)
NUMBERS = st.integers(0, 2**64 - 1)
MEMORY = st.fixed_dictionaries({"memory_type": TEXTS, "size": NUMBERS})
DEVICES = st.fixed_dictionaries(
    {
        "resource_name": st.just("nvidia.com/gpu"),
        "device_ids": st.lists(st.sampled_from(IDS), max_size=4),
        "topology": st.just({"nodes": [{"ID": 1}]}),
    }
)
CLAIMS = st.fixed_dictionaries(
    {
        "claim_name": TEXTS,
        "claim_resources": st.lists(
            st.fixed_dictionaries(
                {
                    "cdi_devices": st.lists(st.fixed_dictionaries({"name": TEXTS}), max_size=2),
                    "driver_name": st.just("gpu.nvidia.com"),
                    "device_name": st.sampled_from(["gpu-0", "gpu-7", "gpu-0-mig-1g10gb-19-4"]),
                    "share_id": TEXTS,
                }
            ),
            max_size=3,
        ),
    }
)
CONTAINERS = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "devices": st.lists(DEVICES, max_size=3),
        "cpu_ids": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
        "memory": st.lists(MEMORY, max_size=2),
        "dynamic_resources": st.lists(CLAIMS, max_size=2),
    }
)
PODS = st.lists(
    st.fixed_dictionaries(
        {"name": TEXTS, "namespace": TEXTS, "containers": st.lists(CONTAINERS, max_size=3)}
    ),
    max_size=4,
)


def expected(answer: list[dict[str, Any]]) -> list[Pod]:
    found = []
    for pod in answer:
        for container in pod["containers"]:
            ids = [i for devices in container["devices"] for i in devices["device_ids"]]
            for claim in container["dynamic_resources"]:
                ids += [allocated["device_name"] for allocated in claim["claim_resources"]]
            found += [Pod(i, pod["namespace"], pod["name"], container["name"]) for i in ids]
    return found


@given(PODS)
def test_an_answer_means_what_protobuf_says(answer: list[dict[str, Any]]) -> None:
    """Whatever else is in the message, and however long the texts and numbers are."""
    assert list(pods(Answer(pod_resources=answer).SerializeToString())) == expected(answer)


@given(PODS, st.data())
def test_a_cut_is_noticed(answer: list[dict[str, Any]], data: st.DataObject) -> None:
    """A message that ends too soon is an error, or whole pods fewer: never a pod made up."""
    whole = Answer(pod_resources=answer).SerializeToString()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    with suppress(ProtobufError):
        found = list(pods(cut))
        assert found == expected(answer)[: len(found)]
        assert (
            cut
            == Answer(
                pod_resources=answer[: len(Answer.FromString(cut).pod_resources)]
            ).SerializeToString()
        )


@given(st.binary(max_size=300))
def test_noise(noise: bytes) -> None:
    """Whatever the bytes are, they are pods or a ProtobufError."""
    with suppress(ProtobufError):
        assert all(isinstance(pod, Pod) for pod in pods(noise))


@given(NUMBERS)
def test_numbers_of_every_length_are_skipped(number: int) -> None:
    """A number before a text does not shift it."""
    message = MESSAGES["ContainerMemory"](size=number, topology={"nodes": []})
    assert list(delimited(message.SerializeToString())) == [(3, b"")]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x0a", "cut off"),
        (b"\x0a\x05abcd", "cut off"),
        (b"\x09abc", "cut off"),
        (b"\x0d\x00", "cut off"),
        (b"\x08\xff", "cut off"),
        (b"\x08" + b"\xff" * 11, "without an end"),
        (b"\x0b", "type 3"),
        (b"\x0a\x08\x0a\x02\xff\xfe\x1a\x02\x0a\x00", ""),
    ],
)
def test_bad_messages(message: bytes, said: str) -> None:
    """Each is told, but for texts that nobody wants."""
    if not said:
        assert list(pods(message)) == []
        return
    with pytest.raises(ProtobufError, match=said):
        list(pods(message))
