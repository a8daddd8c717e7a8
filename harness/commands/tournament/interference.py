"""What disturbed a race or a tournament, in words."""

from harness.commands.tournament.result import Tournament

WARNING_CPU_SHARE = 0.05  # of a core: waiting contenders that use more disturb the one that is timed
RACE = ("side", "both sides", "the other", "the other")
TOURNAMENT = ("contender", "all contenders", "another", "the one that was timed")


def interference(tournament: Tournament) -> list[str]:
    """A line for each kind of disturbance, in the words of a race if there are two contenders."""
    one, every, another, timed = RACE if len(tournament.contenders) == 2 else TOURNAMENT
    lines = []
    if tournament.others_share_of_cores is not None:
        lines.append(f"Other processes took {tournament.others_share_of_cores:.0%} of the cores' time.")
    if any(contention.contended for contention in tournament.contended):
        lines.append(
            f"Other processes used the cores, or a CPU quota withheld them, during windows of {every}, "
            f"which may slow one {one} more than {another}; fewer threads reduce this."
        )
    if tournament.waiting_cpu_share is not None and tournament.waiting_cpu_share > WARNING_CPU_SHARE:
        lines.append(
            f"**Warning:** the waiting {one} used {tournament.waiting_cpu_share:.0%} of a core, which "
            f"disturbed {timed}."
        )
    return lines
