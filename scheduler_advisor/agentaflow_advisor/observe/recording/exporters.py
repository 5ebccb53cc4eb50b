"""What the rules need of each exporter beyond its dialect: counters at a moment, and selectors.

In a counter's text `@` stands where a selector takes an offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentaflow_advisor.observe.dialects import dcgm, dcgm46, nvidia_gpu_exporter, ours
from agentaflow_advisor.observe.dialects.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter as the rules read it."""

    dialect: Dialect
    by: str  # its labels of a GPU
    use: str  # selects its utilization
    present: str  # selects what every GPU has, working or lost
    counters: Mapping[str, str]  # signal → what grows, in our units
    born: Mapping[str, str] = field(default_factory=dict)
    """Of those whose series begins with its first event: what it was in the hour before."""
    events: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Signal → events since the last step, and what is there where it is told."""
    lost: str = ""  # selects what is 0 while a GPU does not answer
    held: str = ""  # the part of a GPU that a namespace's pods hold


def _most(by: str, selector: str) -> str:
    return f"max by ({by}) ({selector}@)"


def _lately(by: str, selector: str) -> str:
    return f"max by ({by}) (last_over_time({selector}[1h] offset 5m))"


_G = "agentaflow_gpu_"
OURS = Exporter(
    dialect=ours.DIALECT,
    by=ours.GPU,
    use=ours.UTILIZATION,
    present=f"{_G}up",
    counters={
        "energy": _most(ours.GPU, f"{_G}energy_joules_total"),
        "throttled_seconds": _most(f"{ours.GPU}, reason", f"{_G}clock_event_seconds_total"),
        "xids": _most(f"{ours.GPU}, xid", f"{_G}xid_errors_total"),
        "ecc_uncorrected": _most(ours.GPU, f'{_G}ecc_errors_total{{type="uncorrected"}}'),
        "ecc_corrected": _most(ours.GPU, f'{_G}ecc_errors_total{{type="corrected"}}'),
        "remapped_rows_uncorrectable_new": _most(
            ours.GPU, f'{_G}remapped_rows{{type="uncorrectable"}}'
        ),
        "pcie_replays": _most(ours.GPU, f"{_G}pcie_replays_total"),
        "nvlink_errors": f"sum by ({ours.GPU}) "
        f"({_most(f'{ours.GPU}, type', f'{_G}nvlink_errors_total')})",
    },
    born={"xids": _lately(f"{ours.GPU}, xid", f"{_G}xid_errors_total")},
    lost=f"{_G}up",
    held=f'label_replace({ours.HELD}, "namespace", "$1", "exported_namespace", "(.+)")',
)

_S = nvidia_gpu_exporter.P
_SMI = nvidia_gpu_exporter.GPU
SMI = Exporter(
    dialect=nvidia_gpu_exporter.DIALECT,
    by=_SMI,
    use=nvidia_gpu_exporter.USE,
    present=f"{_S}gpu_info",
    counters={
        "energy": _most(_SMI, f"{_S}energy_joules_total"),
        "throttled_seconds": " or ".join(
            f"label_replace({_most(_SMI, f'{_S}clocks_event_reasons_counters_{reason}_seconds')}, "
            f'"reason", "{reason}", "", "")'
            for reason in nvidia_gpu_exporter.REASONS
        ),
        "xids": _most(f"{_SMI}, xid", f"{_S}xid_errors_total"),
        "ecc_uncorrected": _most(_SMI, f"{_S}ecc_errors_uncorrected_volatile_total"),
        "ecc_corrected": _most(_SMI, f"{_S}ecc_errors_corrected_volatile_total"),
        "remapped_rows_uncorrectable_new": _most(_SMI, f"{_S}remapped_rows_uncorrectable"),
    },
    born={"xids": _lately(f"{_SMI}, xid", f"{_S}xid_errors_total")},
)


def _dcgm(dialect: Dialect, names: Mapping[str, str]) -> Exporter:
    gpu, whole, xid = dcgm.GPU, dcgm.WHOLE, names["xid"]

    def most(metric: str) -> str:
        return _most(gpu, f"{metric}{{{whole}}}")

    code = f"max by ({gpu}) ({xid}{{{whole}}})"
    links = f'{{__name__=~"{names["nvlink_errors"]}", {whole}}}@'
    return Exporter(
        dialect=dialect,
        by=gpu,
        use=f"{names['utilization']}{{{whole}}}",
        present=f'{{__name__=~"{"|".join(dialect.probes)}"}}',
        counters={
            "energy": f"{most('DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION')} / 1000",
            "throttled_seconds": " or ".join(
                f"label_replace({most(f'DCGM_FI_DEV_{violation}_VIOLATION')} / 1e9, "
                f'"reason", "{reason}", "", "")'
                for violation, reason in dcgm.REASONS.items()
            ),
            "ecc_uncorrected": most("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"),
            "ecc_corrected": most("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"),
            "remapped_rows_uncorrectable_new": most(names["remapped_rows"]),
            "pcie_replays": most(names["pcie_replays"]),
            "nvlink_errors": f"sum by ({gpu}) (max by ({gpu}, kind) (label_replace({links}, "
            '"kind", "$1", "__name__", "(.+)")))',
        },
        events={
            "xids": (
                f'count_values by ({gpu}) ("xid", ({code} > 0) != '
                f"max by ({gpu}) ({xid}{{{whole}}} offset 5m))",
                code,
            )
        },
        held=dcgm.held(f'__name__=~"{"|".join(dialect.probes)}"'),
    )


EXPORTERS = (
    OURS,
    _dcgm(dcgm46.DIALECT, {**dcgm.OLD, **dcgm46.NAMES}),
    _dcgm(dcgm.DIALECT, dcgm.OLD),
    SMI,
)
