from google.adk.agents import Agent

root_agent = Agent(name='weather', model='gemini')
