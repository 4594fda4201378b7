package clipgo

import (
	"context"
	"fmt"
)

// EncodeImage returns the embedding of a picture, of length 1.
func (m *Model) EncodeImage(ctx context.Context, image *Image) ([]float32, error) {
	all, err := m.EncodeImages(ctx, []*Image{image})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// EncodeImages returns the embeddings of pictures, each of length 1. A model with several rows for an image (BLIP-2) gives
// them one after another.
func (m *Model) EncodeImages(ctx context.Context, images []*Image) ([][]float32, error) {
	all, err := m.EncodeImagesRaw(ctx, images)
	if err != nil {
		return nil, err
	}
	normalizeRows(all, m.dimension())
	return all, nil
}

// EncodeImagesRaw returns the embeddings of pictures as the image tower gives them.
func (m *Model) EncodeImagesRaw(ctx context.Context, images []*Image) (all [][]float32, err error) {
	processor := m.Processor()
	for at := 0; at < len(images); at += imageBatch {
		pixels, err := processor.Pixels(images[at:min(at+imageBatch, len(images))]...)
		if err != nil {
			return nil, err
		}
		err = m.busy(ctx, func() error {
			some, err := m.forwardPixels(ctx, pixels)
			all = append(all, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// EncodeText returns the embedding of a text, of length 1. No template is applied.
func (m *Model) EncodeText(ctx context.Context, text string) ([]float32, error) {
	all, err := m.EncodeTexts(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// EncodeTexts returns the embeddings of texts, each of length 1.
func (m *Model) EncodeTexts(ctx context.Context, texts []string) ([][]float32, error) {
	all, err := m.EncodeTextsRaw(ctx, texts)
	if err != nil {
		return nil, err
	}
	normalizeRows(all, m.dimension())
	return all, nil
}

// EncodeTextsRaw returns the embeddings of texts as the text tower gives them.
func (m *Model) EncodeTextsRaw(ctx context.Context, texts []string) (all [][]float32, err error) {
	all, _, err = m.encodeTexts(ctx, texts)
	return all, err
}

// encodeTexts is EncodeTextsRaw; cut says whether a text was longer than the model takes.
func (m *Model) encodeTexts(ctx context.Context, texts []string) (all [][]float32, cut bool, err error) {
	tokens, cut, err := m.Processor().tokens(texts)
	if err != nil {
		return nil, cut, err
	}
	err = m.busy(ctx, func() error {
		if all, err = m.forwardTokens(ctx, tokens.IDs, tokens.Mask); err != nil {
			return fmt.Errorf("encoding texts: %w", err)
		}
		return nil
	})
	return all, cut, err
}
