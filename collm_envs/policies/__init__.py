"""Who writes an agent's texts: scripted players, recorded texts, a person, an endpoint.  No torch.

    policy = parse("expert")                      # or random, noisy, any player of the task
    policy = parse("replay:runs/x/records.jsonl")
    policy = parse("human")                       # human:blind sees an agent's observations only
    policy = parse("openai:http://localhost:8000/v1#Qwen/Qwen3-1.7B?temperature=0.7&max_tokens=512")
    replies = policy.act([Seat("agent_0", (prompt,), seed=1), ...])

An agent knows what it has itself read and written (`Seat.history`) and nothing else; only the scripted
players look at the task and its state, which makes them yardsticks and no agents.
"""

from collm_envs.policies.local import Human, Recorded, Scripted
from collm_envs.policies.seat import Policy, Reply, Seat, Weighed, seat_seed
from collm_envs.policies.specs import KINDS, parse, seat_all, take_seat

__all__ = [
    "KINDS",
    "Human",
    "Policy",
    "Recorded",
    "Reply",
    "Scripted",
    "Seat",
    "Weighed",
    "parse",
    "seat_all",
    "seat_seed",
    "take_seat",
]
