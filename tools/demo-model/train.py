"""Trains the demo CLIP on a CPU. See README.md.

    python train.py --out DIR [--minutes 75]

DIR/state.pt is written every few minutes; the same command continues from it. DIR/checkpoint is what is shipped:
the moving average of the weights, in float16, in the standard Hugging Face layout.
"""

import argparse
import copy
import math
import os
import time

import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

import augment
import captions
import emoji

IMAGE, PATCH = augment.CANVAS, 8
KEPT = 24  # patches that the image tower sees while training; the last steps see all


def config(tokenizer):
    """Every width divides by 64, so every row is whole blocks of any GGML type up to 64 wide; heads are 32 wide."""
    text = dict(
        vocab_size=len(tokenizer),
        max_position_embeddings=captions.CONTEXT,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = dict(
        image_size=IMAGE,
        patch_size=PATCH,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=4,
        projection_dim=128,
    )
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=128, logit_scale_init_value=math.log(16))


def grid_positions(cells, width):
    """[cells * cells, width]: sines and cosines of x and of y, so that neighbours start out as neighbours."""
    frequencies = torch.exp(-math.log(30) * torch.arange(width // 4) / (width // 4 - 1)) * math.pi / 2
    angles = torch.arange(cells).view(-1, 1) * frequencies  # [cells, width / 4]
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    x = axis.repeat(cells, 1)
    y = axis.repeat_interleave(cells, 0)
    return torch.cat([x, y], 1)


def whitening(pixels, width):
    """[width, 3, PATCH, PATCH]: the principal components of patches, scaled to about unit variance.

    As a first layer it hands the blocks decorrelated inputs from the first step on.
    """
    patches = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + 0.02).sqrt()).T.flip(0)[:width]
    return filters.view(-1, 3, PATCH, PATCH)


def start(model, data):
    """Initial weights that know what pictures are like: positions in a plane, patches with correlated pixels."""
    embeddings = model.vision_model.embeddings
    with torch.no_grad():
        positions = embeddings.position_embedding.weight  # [1 + patches, width], class token first
        positions[1:] = 0.2 * grid_positions(IMAGE // PATCH, positions.shape[1])
        indices = torch.randperm(len(data.classes), generator=data.g)[:512]
        filters = whitening(data.pixels(indices, data.g)[0], positions.shape[1])
        embeddings.patch_embedding.weight.copy_(0.3 * filters)


def choose(alpha, g):
    """[b, KEPT]: patches to show the image tower, those with some emoji in them first, otherwise by chance."""
    share = F.avg_pool2d(alpha, PATCH).flatten(1)  # [b, patches]
    return ((share > 0.05) + torch.rand(share.shape, generator=g)).topk(KEPT).indices


def embed_images(model, pixels, patches=None):
    """Unit vectors [b, projection]; with patches [b, n] the tower sees only those of each picture."""
    tower = model.vision_model
    hidden = tower.embeddings(pixels)  # [b, 1 + patches, width], class token first
    if patches is not None:
        rows = F.pad(patches + 1, (1, 0))
        hidden = hidden.gather(1, rows.unsqueeze(2).expand(-1, -1, hidden.shape[2]))
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
    return F.normalize(model.visual_projection(tower.post_layernorm(hidden[:, 0])), dim=1)


def embed_texts(model, batch):
    """Unit vectors [n, projection]."""
    pooled = model.text_model(**batch).pooler_output
    return F.normalize(model.text_projection(pooled), dim=1)


def cross_entropy(logits, true):
    """Mean over rows; where several columns are true [rows, columns] they share the probability."""
    share = true / true.sum(1, keepdim=True)
    return -(share * logits.log_softmax(1)).sum(1).mean()


def contrastive(images, texts, true, scale):
    """CLIP's symmetric loss; a caption may be true of several pictures of the batch."""
    logits = scale * images @ texts.T
    return (cross_entropy(logits, true) + cross_entropy(logits.T, true.T)) / 2


class Muon(torch.optim.Optimizer):
    """Momentum whose step is replaced by the nearest orthogonal matrix (Jordan et al. 2024), for the blocks' matrices.

    It needs about half the steps that Adam does here.
    """

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.02):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["mean"] = torch.zeros_like(p)
                mean = state["mean"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(mean, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(update, alpha=group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonal(m):
    """U V' of m = U S V', roughly: five Newton-Schulz steps of a quintic that pushes singular values to about 1."""
    x = m.T if m.shape[0] > m.shape[1] else m
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
    return x.T if m.shape[0] > m.shape[1] else x


class Trained(torch.nn.Module):
    """The model, and what only training needs: one vector per emoji, which both towers learn to hit.

    A batch shows each tower a few of the other's outputs to tell apart; these anchors stand for all emoji at once.
    """

    def __init__(self, model, sprites):
        """The anchors start where emoji that look alike are close: at the sprites' principal components."""
        super().__init__()
        self.model = model
        looks = F.avg_pool2d(sprites.float() / 255, sprites.shape[-1] // 10).flatten(1)  # [classes, 4 * 10 * 10]
        u, s, _ = torch.linalg.svd(looks - looks.mean(0), full_matrices=False)
        components = (u * s.sqrt())[:, : model.config.projection_dim]
        self.anchors = torch.nn.Parameter(0.3 * components / components.std())

    def loss(self, images, texts, indices, owners, scale):
        """images, texts [b, d] of the emoji indices [b]; owners [b, classes]: the emoji that each text is true of."""
        anchors = F.normalize(self.anchors, dim=1)
        of_images = cross_entropy(scale * images @ anchors.T, F.one_hot(indices, len(anchors)).float())
        of_texts = cross_entropy(scale * texts @ anchors.T, owners)
        return contrastive(images, texts, owners[:, indices].T, scale) + of_images + of_texts


def optimisers(model, matrix_lr, lr):
    matrices, gains, rest = [], [], []
    for name, p in model.named_parameters():
        if "encoder.layers" in name and p.ndim == 2:
            matrices.append(p)
        elif p.ndim < 2:
            gains.append(p)
        else:
            rest.append(p)
    groups = [dict(params=rest, weight_decay=0.02), dict(params=gains, weight_decay=0.0)]
    return [Muon(matrices, matrix_lr), torch.optim.AdamW(groups, lr, betas=(0.9, 0.98))]


def schedule(progress):
    """Learning rate factor: a short warm-up, then flat, then (the last 40 %) down to nothing."""
    return min(1, progress / 0.02, max(0.0, (1 - progress) / 0.4))


class Data:
    def __init__(self, seed):
        loaded = emoji.load()
        self.classes = [e for e, _ in loaded]
        self.levels = augment.make_sprites([image for _, image in loaded])
        self.may_flip = torch.tensor([e.may_flip for e in self.classes])
        self.tokenizer = captions.train_tokenizer(self.classes)
        self.g = torch.Generator().manual_seed(seed)
        self.sampler = captions.Sampler(self.classes, self.tokenizer, seed)
        processor = CLIPImageProcessorPil()
        self.mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
        self.std = torch.tensor(processor.image_std).view(1, 3, 1, 1)

    def pixels(self, indices, g, small=0.2):
        """Normalised as CLIPImageProcessor does [b, 3, IMAGE, IMAGE], and the emoji's own pixels [b, 1, IMAGE, IMAGE]."""
        colours, alpha = augment.views(self.levels, indices, self.may_flip, g, small)
        return (colours - self.mean) / self.std, alpha

    def labels(self):
        texts = [f"This is a photo of {e.name}." for e in self.classes]
        return self.tokenizer(texts, padding=True, return_tensors="pt")


@torch.no_grad()
def accuracy(model, data, n=512):
    """(top-1 among all names, top-1 among the true one and 19 others) on n training-like views, always the same."""
    g = torch.Generator().manual_seed(12345)
    indices = torch.randperm(len(data.classes), generator=g)[:n]
    images = torch.cat([embed_images(model, data.pixels(part, g)[0]) for part in indices.split(128)])
    scores = images @ embed_texts(model, data.labels()).T  # [n, classes]
    own = scores.gather(1, indices.unsqueeze(1))
    others = torch.rand(n, len(data.classes), generator=g).scatter(1, indices.unsqueeze(1), 2).argsort(1)[:, :19]
    all_right = (scores.argmax(1) == indices).float().mean().item()
    return all_right, (own > scores.gather(1, others)).all(1).float().mean().item()


def save(model, tokenizer, folder):
    """The standard layout, float16."""
    copy.deepcopy(model).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(folder)  # vocab.json and merges.txt, for readers that want them
    CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE}, crop_size={"height": IMAGE, "width": IMAGE}
    ).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description="train the demo CLIP")
    parser.add_argument("--out", required=True, help="folder for state.pt and checkpoint/")
    parser.add_argument("--minutes", type=float, default=75, help="length of the schedule, in time spent training")
    parser.add_argument("--stop", type=float, default=math.inf, help="stop after so many minutes of it")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.makedirs(args.out, exist_ok=True)

    data = Data(args.seed)
    model = CLIPModel(config(data.tokenizer))
    start(model, data)
    average = copy.deepcopy(model).requires_grad_(False)
    trained = Trained(model, data.levels[1])
    optims = optimisers(trained, args.matrix_lr, args.lr)
    step, spent = 0, 0.0
    state_file = os.path.join(args.out, "state.pt")
    if os.path.exists(state_file):
        state = torch.load(state_file)
        trained.load_state_dict(state["trained"])
        average.load_state_dict(state["average"])
        for optim, s in zip(optims, state["optims"]):
            optim.load_state_dict(s)
        step, spent = state["step"], state["spent"]
        data = Data(args.seed + step)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(data.classes)} emoji", flush=True)

    def keep_state():
        torch.save(
            dict(
                trained=trained.state_dict(),
                average=average.state_dict(),
                optims=[o.state_dict() for o in optims],
                step=step,
                spent=spent,
            ),
            state_file + ".new",
        )
        os.replace(state_file + ".new", state_file)
        save(average, data.tokenizer, os.path.join(args.out, "checkpoint"))

    peaks = [args.matrix_lr, args.lr]
    started = last = saved = time.monotonic()
    losses = []
    while spent < min(args.minutes, args.stop) * 60:
        progress = spent / (args.minutes * 60)
        for optim, peak in zip(optims, peaks):
            for group in optim.param_groups:
                group["lr"] = peak * max(schedule(progress), 1e-3)

        indices = torch.randperm(len(data.classes), generator=data.g)[: args.batch]
        pixels, alpha = data.pixels(indices, data.g, small=0.2 * min(1, progress / 0.3))
        images = embed_images(model, pixels, choose(alpha, data.g) if progress < 0.85 else None)
        texts, owners = data.sampler.draw(indices.tolist())
        loss = trained.loss(images, embed_texts(model, texts), indices, owners, model.logit_scale.exp())
        for optim in optims:
            optim.zero_grad()
        loss.backward()
        for optim in optims:
            optim.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
            decay = min(0.998, (1 + step) / (10 + step))
            for a, p in zip(average.parameters(), model.parameters()):
                a.lerp_(p, 1 - decay)

        step += 1
        losses.append(loss.item())
        now = time.monotonic()
        spent, last = spent + now - last, now
        if step % 25 == 0:
            print(
                f"step {step} minutes {spent / 60:.1f} loss {sum(losses) / len(losses):.3f} "
                f"scale {model.logit_scale.exp().item():.1f} cores {time.process_time() / (now - started):.2f}",
                flush=True,
            )
            losses = []
        if now - saved > 480:
            keep_state()
            whole, twenty = accuracy(average, data)
            print(f"step {step} top-1 of {len(data.classes)}: {whole:.3f}, of 20: {twenty:.3f}", flush=True)
            saved = last = time.monotonic()
    keep_state()
    whole, twenty = accuracy(average, data)
    print(f"step {step} top-1 of {len(data.classes)}: {whole:.3f}, of 20: {twenty:.3f}", flush=True)


if __name__ == "__main__":
    main()
