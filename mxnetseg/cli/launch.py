"""Train with several workers, on this machine or on several: see docs/several-machines.md."""

from ..errors import UsageError
from . import arguments as shared

HELP = "train with several workers, on one machine or several"
EXAMPLES = """examples:
  mxnetseg launch --workers 2 -- train --model fcn --data cityscapes --ctx cpu
  mxnetseg launch --hosts a,b,c,d --servers 4 -- train --config exp.yaml --ctx 0 1 2 3
  srun --ntasks 4 mxnetseg launch --slurm --servers 4 -- train --config exp.yaml --ctx 0 1 2 3"""


def arguments(parser):
    parser.add_argument(
        "--workers", type=shared.positive, metavar="N", help="default: one per host"
    )
    parser.add_argument(
        "--servers", type=shared.positive, metavar="N", help="that sum gradients; default: 1"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--hosts", metavar="A,B", help="names for ssh; default: this machine")
    where.add_argument("--slurm", action="store_true", help="this is a task that srun started")
    parser.add_argument(
        "--address", metavar="IP", help="under which other hosts reach this machine"
    )
    parser.add_argument(
        "--port", type=shared.positive, metavar="N", help="of the scheduler; further ones follow it"
    )
    parser.add_argument("command", nargs="*", metavar="-- train ...", help="what workers do")


def run(args):
    import os

    from ..training import launch
    from .main import build_parser

    if args.command[:1] != ["train"]:
        raise UsageError("launch starts training: mxnetseg launch --workers 2 -- train ...")
    if args.port is not None and args.port > 65533:
        raise UsageError(f"--port {args.port} leaves no room below 65535 for the one after it.")
    build_parser().parse_args(args.command)  # a mistake is told once, not by every process
    servers = args.servers or 1
    if args.slurm:
        processes = launch.slurm_plan(args.workers, servers, os.environ, args.port)
    else:
        hosts = [host for host in (args.hosts or "localhost").split(",") if host]
        address = args.address or launch.own_address(hosts)
        alone = all(host in launch.LOCAL for host in hosts)
        port = args.port or (launch.free_port() if alone else launch.PORT)
        processes = launch.plan(args.workers or len(hosts), servers, hosts, address, port)
    return launch.run(processes, args.command)
