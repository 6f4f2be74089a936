"""A real Slurm on this machine for tests: one controller and two virtual nodes, no privileges."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SLURM_CONF = """ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=20
SchedulerParameters=bf_interval=2,batch_sched_delay=0
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool.%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.%n.log
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
RECIPE_CONF = """command sbatch --export=ALL {more}
option gpu=*
option nodes=1
option nodes=* --nodes=$0 --ntasks-per-node=1
{rest}"""
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")


def missing() -> list[str]:
    """Return the Slurm programs that are not installed (Debian: slurm-wlm)."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if not shutil.which(name, path=path)]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a running cluster; skip where Slurm is not installed."""
    if absent := missing():
        pytest.skip(f"Slurm is not installed (apt install slurm-wlm): no {' '.join(absent)}")
    with running(tmp_path_factory.mktemp("slurm")) as env:
        yield {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", **env}


def configure(folder: Path, more: str = "", rest: str = "") -> Path:
    """Write conf/slurm.conf of a recipe for this cluster; return the recipe's folder."""
    (folder / "conf").mkdir(exist_ok=True, parents=True)
    (folder / "conf/slurm.conf").write_text(RECIPE_CONF.format(more=more, rest=rest))
    return folder


@contextmanager
def running(home: Path) -> Iterator[dict[str, str]]:
    """Start a cluster with its files in ``home``; yield the environment of its users."""
    for name in ("state", "spool.n1", "spool.n2"):
        (home / name).mkdir(parents=True)
    conf = home / "slurm.conf"
    conf.write_text(SLURM_CONF.format(home=home, user=getpass.getuser(), ports=free_ports(3)))
    env = {**os.environ, "SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    daemons = [["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]]
    with (home / "daemons.log").open("w") as log:
        processes = [
            subprocess.Popen(
                words, env=env, cwd=home, stdout=log, stderr=log, start_new_session=True
            )
            for words in daemons
        ]
    try:
        _wait_until_idle(env, home)
        yield {"SLURM_CONF": str(conf)}
    finally:
        subprocess.run(["scancel", "--user", getpass.getuser()], env=env, check=False)
        time.sleep(1)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(count: int) -> list[int]:
    """Return free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def _wait_until_idle(env: dict[str, str], home: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format", "%T %D"], env=env, capture_output=True, text=True
        )
        if done.stdout.split() == ["idle", "2"]:
            return
        time.sleep(0.5)
    logs = [path.read_text()[-1500:] for path in sorted(home.glob("*.log"))]
    raise RuntimeError("the cluster did not start:\n" + "\n".join(logs))
