"""Options of containers under docker-py's names, as the engine's API names them. Pure."""

import re
from collections.abc import Mapping
from typing import Any

_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}

# docker-py's name: where the engine's API has it.
CONTAINER = {
    "domainname": "Domainname",
    "entrypoint": "Entrypoint",
    "healthcheck": "Healthcheck",
    "hostname": "Hostname",
    "mac_address": "MacAddress",
    "stdin_open": "OpenStdin",
    "stop_signal": "StopSignal",
    "tty": "Tty",
    "user": "User",
    "working_dir": "WorkingDir",
}
HOST = {
    "blkio_weight": "BlkioWeight",
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "cgroup_parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cpu_count": "CpuCount",
    "cpu_percent": "CpuPercent",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "device_requests": "DeviceRequests",
    "dns": "Dns",
    "dns_opt": "DnsOptions",
    "dns_search": "DnsSearch",
    "group_add": "GroupAdd",
    "init": "Init",
    "ipc_mode": "IpcMode",
    "isolation": "Isolation",
    "links": "Links",
    "log_config": "LogConfig",
    "mem_swappiness": "MemorySwappiness",
    "mounts": "Mounts",
    "nano_cpus": "NanoCpus",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "pid_mode": "PidMode",
    "pids_limit": "PidsLimit",
    "publish_all_ports": "PublishAllPorts",
    "read_only": "ReadonlyRootfs",
    "restart_policy": "RestartPolicy",
    "runtime": "Runtime",
    "security_opt": "SecurityOpt",
    "storage_opt": "StorageOpt",
    "sysctls": "Sysctls",
    "tmpfs": "Tmpfs",
    "ulimits": "Ulimits",
    "userns_mode": "UsernsMode",
    "uts_mode": "UTSMode",
    "volume_driver": "VolumeDriver",
    "volumes_from": "VolumesFrom",
}
SIZES = {"mem_reservation": "MemoryReservation", "shm_size": "ShmSize"}


def container_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as fields of the API's body; capitalised names are fields of it already.

    Raises `ValueError` for a name that neither has, and for one that a variable stands for.
    """
    body: dict[str, Any] = {}
    host: dict[str, Any] = {}
    for name, value in given.items():
        if name[:1].isupper():
            body[name] = value
        elif name in CONTAINER:
            body[CONTAINER[name]] = value
        elif name in HOST:
            host[HOST[name]] = value
        elif name in SIZES:
            host[SIZES[name]] = size_in_bytes(str(value))
        elif name == "extra_hosts":
            host["ExtraHosts"] = (
                [f"{alias}:{address}" for alias, address in value.items()]
                if isinstance(value, Mapping)
                else value
            )
        elif name == "devices":
            host["Devices"] = [_device(device) for device in value]
        else:
            raise ValueError(
                f"{name!r} is neither an option of a container that has no variable of its own "
                "nor a field of the engine's API"
            )
    return with_options(body, {"HostConfig": host}) if host else body


def with_options(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with `options` over it: objects are joined, lists grow, the rest is replaced."""
    joined = dict(body)
    for name, value in options.items():
        current = joined.get(name)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            joined[name] = with_options(current, value)
        elif isinstance(current, list) and isinstance(value, list):
            joined[name] = [*current, *value]
        else:
            joined[name] = value
    return joined


def size_in_bytes(text: str) -> int:
    """Bytes of a size such as `512m`; -1 stands for no limit. Raises `ValueError`."""
    if text.strip() == "-1":
        return -1
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([bkmgt]?)i?b?\s*", text.lower())
    if found is None:
        raise ValueError(f"{text!r} is no size; write for example 512m or 2g")
    return int(float(found[1]) * _UNITS[found[2]])


def _device(text: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(text, str):
        return text
    host, _, rest = text.partition(":")
    container, _, rights = rest.partition(":")
    return {
        "PathOnHost": host,
        "PathInContainer": container or host,
        "CgroupPermissions": rights or "rwm",
    }
