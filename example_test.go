package clipgo_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/clipgo/clipgo"
)

// The model of the package itself, and a picture beside it. A model of your own is opened with Open.
func Example() {
	model, err := clipgo.OpenDemo()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ctx := context.Background()
	image, err := clipgo.LoadImage(ctx, "testdata/owl.png")
	if err != nil {
		log.Fatal(err)
	}
	predictions, err := model.Classify(ctx, image, []string{"fox", "bear", "seagull", "owl"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.1f\n", predictions[0].Label, predictions[0].Score)
	// Output: owl 1.0
}

// Labels are encoded once, and pictures then compared with them.
func ExampleModel_NewClassifier() {
	model, err := clipgo.OpenDemo()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ctx := context.Background()
	classifier, err := model.NewClassifier(ctx, []string{"owl", "car", "pizza"},
		clipgo.WithTemplates("a picture of {}.", "This is a photo of {}."))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"owl", "car"} {
		image, err := clipgo.LoadImage(ctx, "testdata/"+name+".png")
		if err != nil {
			log.Fatal(err)
		}
		predictions, err := classifier.Classify(ctx, image)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, "is", predictions[0].Label)
	}
	// Output:
	// owl is owl
	// car is car
}

// Embeddings have length 1, so that a product of two is their cosine: the nearest text is the best caption.
func ExampleModel_EncodeTexts() {
	model, err := clipgo.OpenDemo()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ctx := context.Background()
	image, err := clipgo.LoadImage(ctx, "testdata/owl.png")
	if err != nil {
		log.Fatal(err)
	}
	picture, err := model.EncodeImage(ctx, image)
	if err != nil {
		log.Fatal(err)
	}
	captions := []string{"a photo of a car", "a photo of an owl", "a photo of a pizza"}
	texts, err := model.EncodeTexts(ctx, captions)
	if err != nil {
		log.Fatal(err)
	}
	cosine := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	best := 0
	for i := range texts {
		if cosine(picture, texts[i]) > cosine(picture, texts[best]) {
			best = i
		}
	}
	fmt.Println(len(picture) == model.Info().Dimension, captions[best])
	// Output: true a photo of an owl
}

// By hand, as with transformers: a processor, a forward call, logits, softmax.
func ExampleModel_Forward() {
	model, err := clipgo.OpenDemo()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ctx := context.Background()
	image, err := clipgo.LoadImage(ctx, "testdata/owl.png")
	if err != nil {
		log.Fatal(err)
	}
	processor := model.Processor()
	pixels, err := processor.Pixels(image)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := processor.Tokens("a photo of a car", "a photo of an owl")
	if err != nil {
		log.Fatal(err)
	}
	output, err := model.Forward(ctx, pixels, tokens)
	if err != nil {
		log.Fatal(err)
	}
	scores := clipgo.Softmax(output.LogitsPerImage[0])
	fmt.Println(pixels.Shape[:2], len(tokens.IDs), slices.Max(scores) == scores[1])
	// Output: [1 3] 2 true
}

// A folder of pictures is loaded, prepared and computed at the same time; embeddings come in order.
func ExampleModel_EncodeEach() {
	model, err := clipgo.OpenDemo()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	ctx := context.Background()
	classifier, err := model.NewClassifier(ctx, []string{"owl", "car"})
	if err != nil {
		log.Fatal(err)
	}
	names := []string{"testdata/car.png", "testdata/missing.png", "testdata/owl.png"}
	load := func(ctx context.Context, i int) (*clipgo.Image, error) { return clipgo.LoadImage(ctx, names[i]) }
	err = model.EncodeEach(ctx, len(names), load, func(i int, embedding []float32, err error) error {
		if err != nil {
			fmt.Println(names[i], "can't be read")
			return nil // the others go on
		}
		predictions, err := classifier.Score(embedding)
		if err != nil {
			return err
		}
		fmt.Println(names[i], predictions[0].Label)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// testdata/car.png car
	// testdata/missing.png can't be read
	// testdata/owl.png owl
}
