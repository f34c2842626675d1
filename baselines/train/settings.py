"""The settings every text trainer shares.  An algorithm's `Config` adds its own few below these."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from baselines.credit import rules
from baselines.formulas.losses import Length, Objective, Ratio
from baselines.lm.learning import Schedule
from baselines.lm.opening import Setup
from baselines.lm.policy import Context, History
from baselines.lm.sampling import Sampling
from baselines.train.keywords import Json
from collm_envs import Task, takes_turns


@dataclass
class Settings:
    """What is trained on what, how texts are sampled, how a policy steps, what is kept."""

    env: str = "StrBuild-v0"
    """environment id"""
    env_kwargs: Json = field(default_factory=dict)
    """keywords of `collm_envs.make` for it (on the command line: JSON)"""
    model: str = "tiny"
    """tiny (the embedded model, warm-started once), a name of `collm models`, a `save_pretrained` folder,
    a GGUF file, or a hub name"""
    models: tuple[str, ...] = ()
    """one model per agent where they differ; overrides `model`"""
    shared: bool = False
    """one set of weights for all agents"""
    lora_rank: int = 0
    """0 trains all weights; otherwise one adapter of this rank per agent on one frozen base"""
    lora_alpha: int = 32
    """LoRA's scale is lora_alpha / lora_rank"""
    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda, cuda:1"""
    bf16: bool = False
    """run the models in bfloat16 (weights and optimizer stay in float32)"""
    cuda_graphs: bool = False
    """on a GPU: write texts by replaying one captured step of decoding; for models of the Llama shape"""
    mixed_batches: bool = False
    """write the texts of all adapters of a base model in one batch, which reads its weights once for all"""
    gradient_checkpointing: bool = False
    """recompute activations in the backward pass: less memory, more time"""
    threads: int = 0
    """CPU threads; 0: one for models below 3 million parameters, which more make slower, else all"""

    sampler: tuple[str, ...] = ()
    """vllm:http://host:8000, a server that writes the texts (`collm serve vllm`), or one for each agent; it
    must see `out` under the same path"""
    sampler_ratio: float = 2.0
    """bound of the importance ratio by which a server's texts are weighed, trainer to server (TIS)"""
    sampler_gap: float = 0.2
    """nats a token between a server's log-probabilities and the trainer's above which a step is refused"""

    temperature: float = 1.0
    """of sampling, and of the probabilities that are trained"""
    top_p: float = 1.0
    """of sampling, and of the probabilities that are trained"""
    top_k: int = 0
    """of sampling, and of the probabilities that are trained; 0 keeps all tokens"""
    max_new_tokens: int = 256
    """a text longer than this is cut"""
    history: History = "full"
    """what an agent reads: all it has read and written, or the newest message alone"""
    max_context: int = 4096
    """tokens of one history, the text to be written included"""
    overflow: Literal["raise", "drop"] = "raise"
    """beyond max_context: stop with an error, or drop the oldest turns"""
    thinking: bool = False
    """let models with a thinking mode think before they answer"""

    steps: int = 100
    """optimizer steps of each policy"""
    episodes: int = 64
    """whole episodes per step, all starts and their groups together"""
    lr: float = 5e-6
    """AdamW's learning rate"""
    schedule: Schedule = "constant"
    """of the learning rate, over all steps"""
    warmup: int = 0
    """steps of the run over which the learning rate rises, whatever the number of epochs"""
    max_grad_norm: float = 1.0
    """gradients longer than this are shortened to it"""
    epochs: int = 1
    """passes over the episodes of a step; more than one needs `clip`"""
    clip: float | None = None
    """PPO's clip of the importance ratio; None leaves it unclipped"""
    ratio: Ratio = "turn"
    """importance ratio of a whole text (the papers) or of each token (PPO)"""
    length: Length = "sum"
    """a text's log-probability: the sum of its tokens' (the papers) or their mean"""
    kl: float = 0.0
    """weight of the KL to the untrained model, k3 estimator"""
    entropy: float = 0.0
    """weight of an entropy bonus"""
    normalize: bool = False
    """scale each agent's advantages of a step to mean 0 and deviation 1; a lone one is left as it is"""
    credit: str = "shared"
    """what an agent learns from: the team's advantage (shared), or its own by difference, shapley,
    counterfactual, learned, or qllm:FILE, a function in baselines/credit/functions (credit/rules.py)"""
    credit_samples: int = 4
    """texts that are written at every history and not played, for credit=counterfactual alone"""
    checked_turns: int = 8
    """turns of a step and of an evaluation at which credit is compared with exact Shapley values, and texts
    with silence (`collm report` shows both); 0: none, and none in tasks whose replays wait for a sandbox"""
    micro_batch_tokens: int = 0
    """tokens of a forward pass; lower it when memory runs out; 0 is 512 on a CPU and 8192 elsewhere"""

    placement: Literal["local", "ray", "tinker"] = "local"
    """where the weights are: in this process, each policy with its critic in an actor of Ray, or adapters on
    a server with the Tinker API"""
    ray_address: str = ""
    """of the Ray cluster; empty: one is started on this machine"""
    gpus_per_agent: float = 0.0
    """GPUs of each actor, a fraction where several share one; 0: actors compute on the CPU"""
    tinker_url: str = ""
    """of the Tinker server; empty: the SDK's own"""
    replicas: int = 1
    """actors of each policy, which write and learn a part of the episodes each, with the same weights"""

    seed: int = 0
    """fixes items, episodes, texts and weights"""
    out: str = ""
    """folder of the run; empty: runs/<algorithm>-<env>-seed<seed>"""
    eval_every: int = 10
    """steps between evaluations on the eval split; 0 evaluates at the start and the end alone"""
    eval_episodes: int = 64
    """episodes of an evaluation; the same items and episode seeds each time"""
    save_every: int = 50
    """steps between checkpoints; 0 saves at the end alone"""
    keep: int = 2
    """checkpoints to keep"""
    tensorboard: bool = False
    """also write TensorBoard files"""
    wandb: str = ""
    """also log to this Weights & Biases project"""

    def __post_init__(self) -> None:
        counts = ("steps", "episodes", "max_new_tokens", "epochs", "credit_samples", "eval_episodes", "keep")
        for name in (*counts, "replicas"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("temperature", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("lora_rank", "warmup", "checked_turns"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.max_context <= self.sampling.max_new_tokens:
            raise ValueError(
                f"max_context={self.max_context} must be above max_new_tokens={self.max_new_tokens}"
            )
        if not (self.sampler_ratio >= 1 and self.sampler_gap > 0):
            raise ValueError(
                f"need sampler_ratio >= 1 and sampler_gap > 0, got {self.sampler_ratio}, {self.sampler_gap}"
            )
        rules.check_name(self.credit)
        self._check_placement()
        if self.epochs > 1 and self.clip is None:
            raise ValueError(f"epochs={self.epochs} without clip: repeated passes need a clipped ratio")
        if self.shared and self.models:
            raise ValueError("shared and models exclude each other: shared agents are one model")

    def _check_placement(self) -> None:
        """Raise ValueError for settings of a placement that is not the run's."""
        if self.gpus_per_agent < 0:
            raise ValueError(f"gpus_per_agent must be at least 0, got {self.gpus_per_agent}")
        if self.placement != "ray" and (self.ray_address or self.gpus_per_agent or self.replicas > 1):
            raise ValueError("ray_address, gpus_per_agent and replicas are for placement='ray'")
        if self.placement != "tinker" and self.tinker_url:
            raise ValueError("tinker_url is for placement='tinker'")
        if self.cuda_graphs and (self.sampler or self.placement == "tinker"):
            raise ValueError("cuda_graphs is for texts that are written here, not by a server")
        if self.mixed_batches and (self.sampler or self.placement != "local"):
            raise ValueError("mixed_batches is for texts that are written here, in one process")
        if self.mixed_batches and (self.shared or not self.lora_rank):
            raise ValueError("mixed_batches is for several adapters: set lora_rank, and not shared")
        if self.mixed_batches and self.cuda_graphs:
            raise ValueError("mixed_batches and cuda_graphs exclude each other: a graph has one adapter")
        if self.mixed_batches and self.models and len(set(self.models)) == len(self.models):
            raise ValueError(
                "mixed_batches is for several adapters on one base model, and no two agents have the same in "
                f"models={list(self.models)}"
            )
        if self.sampler and self.replicas > 1:
            raise ValueError("sampler and replicas exclude each other: a server writes for all of them")

    def check_task(self, task: Task) -> None:
        """Raise ValueError where mixed_batches would have no two agents' texts to mix in this task."""
        if self.mixed_batches and takes_turns(task):
            raise ValueError(
                "mixed_batches mixes texts that are written at once, and in this task (order='sequential') "
                "agents write one after the other"
            )
        if self.mixed_batches and len(task.agents) < 2:
            raise ValueError(f"mixed_batches mixes texts of several agents, and {self.env} has one here")

    def check_group(self, group: int) -> None:
        """Raise ValueError where a step's episodes are fewer than one group of them."""
        if self.episodes < group:
            raise ValueError(
                f"episodes={self.episodes} is less than group={group}: a step plays at least one whole "
                f"group; set episodes to {group} or more, or a smaller group"
            )

    @property
    def sampling(self) -> Sampling:
        """How texts are drawn."""
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens)

    @property
    def context(self) -> Context:
        """What an agent reads."""
        return Context(self.history, self.max_context, self.overflow, self.thinking)

    @property
    def setup(self) -> Setup:
        """How this run's policies are opened."""
        return Setup(
            self.sampling,
            self.context,
            self.device,
            self.bf16,
            self.gradient_checkpointing,
            self.lora_rank,
            self.lora_alpha,
            self.micro_batch_tokens,
        )

    @property
    def objective(self) -> Objective:
        """What a step of a policy minimises."""
        bounds = (self.sampler_ratio, self.sampler_gap) if self.sampler else (None, None)
        return Objective(self.epochs, self.clip, self.ratio, self.length, self.kl, self.entropy, *bounds)

    @property
    def reference_apart(self) -> bool:
        """Whether the KL's reference is a frozen model: with LoRA it is the base below the adapters."""
        return bool(self.kl) and not self.lora_rank

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)
