"""How OpenVINO uses the processor, said once for all networks of the package."""

from typing import Literal


def processor_settings(precision: Literal["f32", "bf16"] = "f32", threads: int = 1) -> dict[str, str]:
    """Gives the settings with which a network is compiled for `CPU`.

    OpenVINO pins the threads of each compiled network to the first processors; a network of one thread pins its
    caller. Processes of a pool would so take turns on one processor while the others idle, so that pinning is off
    wherever threads are counted.

    Args:
        precision: Arithmetic.
        threads: Processor threads; 0 takes what the machine has.
    """
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        settings |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
    return settings
