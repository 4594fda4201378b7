"""Captions of the emoji, and the byte-pair vocabulary that is trained on them."""

import json
import random

import torch
from tokenizers import pre_tokenizers, trainers
from transformers import CLIPTokenizer

TEMPLATES = (
    "This is a photo of {}.",
    "This is a photo of a {}.",
    "a photo of a {}",
    "a photo of {}",
    "a picture of a {}",
    "a drawing of a {}.",
    "an emoji of {}",
    "{} emoji",
    "a {}",
    "the {}",
    "{}",
    "{}.",
)
# The pipeline's own template and bare words are what people type most.
WEIGHTS = (8, 2, 4, 2, 1, 1, 1, 1, 1, 1, 5, 1)

CONTEXT = 32  # tokens
VOCABULARY = 2048
START, END = "<|startoftext|>", "<|endoftext|>"


def phrase(term, rng):
    return rng.choices(TEMPLATES, WEIGHTS)[0].format(term)


def pick_term(emoji, rng):
    """The short name mostly; now and then the Unicode name (the last one, often the same) or a keyword."""
    draw = rng.random()
    if draw < 0.35 and emoji.keywords:
        return rng.choice(emoji.keywords)
    return emoji.names[-1] if draw < 0.5 else emoji.names[0]


def train_tokenizer(classes):
    """CLIP's tokenizer with a vocabulary of its own: every byte, every byte that ends a word, merges, start, end.

    With all bytes in both forms, any text whatever has ids and <|endoftext|> never stands for "unknown".
    """
    blank = CLIPTokenizer(vocab={START: 0, END: 1}, merges=[])
    corpus = [t.format(term) for e in classes for term in e.names * 3 + e.keywords for t in ("{}", "a {}.")]
    corpus += [t.format("") for t in TEMPLATES] * 500
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    backend = blank.backend_tokenizer
    backend.train_from_iterator(corpus, trainer)

    pairs = merges_of(backend)[: VOCABULARY - 2 * len(alphabet) - 2]
    tokens = alphabet + [c + "</w>" for c in alphabet] + [a + b for a, b in pairs] + [START, END]
    if len(set(tokens)) != VOCABULARY:
        raise ValueError(f"the vocabulary has {len(set(tokens))} distinct tokens, expected {VOCABULARY}")
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=CONTEXT)


def merges_of(backend):
    """[(left, right)] in the order in which they were learnt."""
    return [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]


class Sampler:
    """Draws captions, and knows which emoji each one is true of."""

    def __init__(self, classes, tokenizer, seed):
        self.classes, self.tokenizer, self.rng = classes, tokenizer, random.Random(seed)
        self.owners = {}  # term -> [classes], 1 where it may name the emoji
        for i, emoji in enumerate(classes):
            for term in emoji.terms:
                self.owners.setdefault(term, torch.zeros(len(classes)))[i] = 1

    def draw(self, indices):
        """One caption per emoji: ids [n, length], and the emoji that each is true of [n, classes]."""
        terms = [pick_term(self.classes[i], self.rng) for i in indices]
        texts = [phrase(t, self.rng) for t in terms]
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return batch, torch.stack([self.owners[t] for t in terms])
