"""The configuration files of the tests' Slurm: two nodes on one machine, two partitions, accounting. Pure texts."""

NODES = ("node1", "node2")
ACCOUNT = "project"


def slurm(folder: str, ports: dict[str, int]) -> str:
    """`slurm.conf`: two cores pose as many, jobs are forgotten late, a dead node is noticed soon."""
    lines = f"""
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports["slurmctld"]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports["slurmdbd"]}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
MpiDefault=none
KillWait=2
SlurmdTimeout=20
MinJobAge=300
""".strip().splitlines()
    for number, node in enumerate(NODES):
        facts = "CPUs=16 RealMemory=64000 Gres=gpu:h100:2 State=UNKNOWN"
        lines.append(f"NodeName={node} NodeAddr=127.0.1.{11 + number} Port={ports[node]} {facts}")
    lines += [
        "PartitionName=cpu Nodes=ALL Default=YES MaxTime=3-00:00:00 DefaultTime=10 DefMemPerCPU=100 PriorityTier=2",
        "PartitionName=gpu Nodes=ALL MaxTime=2-00:00:00 DefaultTime=10 DefMemPerCPU=100 PriorityTier=2 "
        "TRESBillingWeights=CPU=1.0,GRES/gpu=10",
        "PartitionName=scrap Nodes=ALL MaxTime=60 DefaultTime=10 DefMemPerCPU=100 PriorityTier=1 GraceTime=10",
    ]
    return "\n".join(lines) + "\n"


def slurmdbd(folder: str, ports: dict[str, int]) -> str:
    return f"""
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports["slurmdbd"]}
SlurmUser=root
LogFile={folder}/log/slurmdbd
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports["mariadb"]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
""".lstrip()


def gres(folder: str) -> str:
    return f"AutoDetect=off\nNodeName=node[1-2] Name=gpu Type=h100 File={folder}/gpus/nvidia[0-1]\n"


def cgroup() -> str:
    return "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"


def sshd(folder: str, ports: dict[str, int]) -> str:
    """A login node that lets only the key in, and shows the way to this Slurm."""
    return f"""
Port {ports["sshd"]}
ListenAddress 127.0.0.1
HostKey {folder}/ssh/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/ssh/authorized
UsePAM no
PasswordAuthentication no
StrictModes no
MaxSessions 100
MaxStartups 100
SetEnv SLURM_CONF={folder}/slurm.conf
Subsystem sftp internal-sftp
""".lstrip()


def ssh(folder: str, ports: dict[str, int], user: str) -> str:
    """The user's ~/.ssh/config: one connection is kept open, as for a cluster that asks for a second factor."""
    return f"""
Host loop
    HostName 127.0.0.1
    Port {ports["sshd"]}
    User {user}
    IdentityFile {folder}/ssh/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/ssh/known
    StrictHostKeyChecking accept-new
    ControlMaster auto
    ControlPath {folder}/ssh/%C
    ControlPersist 20
""".lstrip()


def database(folder: str, ports: dict[str, int]) -> str:
    return f"""
[mariadbd]
datadir={folder}/data
socket={folder}/data/socket
pid-file={folder}/data/pid
port={ports["mariadb"]}
bind-address=127.0.0.1
log-error={folder}/data/log
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=0
innodb_lock_wait_timeout=900
skip-name-resolve
performance_schema=OFF
""".lstrip()
