"""Muon: momentum whose matrices are orthogonalised by Newton-Schulz steps (Jordan et al., 2024)."""

import torch


def orthogonalised(g, steps=5):
    """About U V^T of g's singular value decomposition."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return (x.T if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """For hidden matrices. `parts` of a parameter are the row counts of matrices fused into it."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(
            parameters,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": None},
        )

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                moment = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                moment.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(moment, group["momentum"])
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                start = 0
                for rows in group["parts"] or [parameter.shape[0]]:
                    part = orthogonalised(update[start : start + rows])
                    scale = max(1.0, rows / parameter.shape[1]) ** 0.5
                    parameter[start : start + rows].add_(part, alpha=-group["lr"] * scale)
                    start += rows
