// Package clipgo classifies and embeds pictures with CLIP and its relatives, without Python, without training and without
// sending the picture away.
//
// A model is a GGUF file that `clipgo convert` makes from a Hugging Face checkpoint. Scores are those of transformers'
// zero-shot-image-classification pipeline:
//
//	model, err := clipgo.Open("clip-vit-base-patch32.gguf")
//	if err != nil { ... }
//	defer model.Close()
//	image, err := clipgo.LoadImage(ctx, "owl.jpg")
//	if err != nil { ... }
//	predictions, err := model.Classify(ctx, image, []string{"fox", "bear", "seagull", "owl"})
//	fmt.Println(predictions[0].Label, predictions[0].Score)
//
// A [Classifier] encodes its labels once and serves many pictures. By hand it goes processor, model, logits, scores:
// [Model.Processor] makes pixel values and token ids, [Model.Forward] embeddings and logits, [Softmax] and [Sigmoid] scores.
//
// The same weights give other numbers in other programs; [WithCompat] chooses whose.
//
// # Concurrency
//
// A Model serves any number of goroutines; its products use all the cores that it was given, one call after another. A
// context that ends stops the work in progress.
//
// # Engine
//
// The arithmetic is done by a native library (see package bindings for where it is looked for). Where there is none, a
// slow interpreter in Go takes over; [Model.Info] says which.
package clipgo
