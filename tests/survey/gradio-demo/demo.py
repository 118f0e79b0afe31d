import gradio as gr

def greet(name):
    return name

gr.Interface(fn=greet, inputs='text', outputs='text').launch(server_name='0.0.0.0')
